"""Ctrl-C and SIGTERM: the first one stops what runs, the second one leaves at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final, TypeVar

import trio

from actorllama.cli.screen import is_fancy

__all__ = ["Interrupts", "run_interruptible"]

T = TypeVar("T")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR: Final = b"\x1b[?25h\n"


class Interrupts:
    """Turns signals into cancelled scopes.

    A signal can come between any two instructions of the main thread; the handler only takes a note and
    asks trio to cancel the scope that the command opened for it. Where no scope is open, the next one is
    cancelled as it opens, so a signal is never lost.

    Owner: the running command.
    """

    def __init__(self) -> None:
        """Begin without a signal."""
        self.received: signal.Signals | None = None
        self._stop: Callable[[], None] | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a command that a signal ended; 0 without one."""
        return 0 if self.received is None else 128 + self.received

    @property
    def must_leave(self) -> bool:
        """Whether it was no mere Ctrl-C: who sends SIGTERM wants the process to end."""
        return self.received is not None and self.received != signal.SIGINT

    def forget_ctrl_c(self) -> None:
        """Count from the beginning again: what Ctrl-C asked for is done, and the command goes on."""
        if not self.must_leave:
            self.received = None

    @contextmanager
    def stopping(self, *, also: Callable[[], None] | None = None) -> Generator[None, None, None]:
        """Cancel what runs inside when a signal comes; afterwards, look at ``received``.

        Args:
            also: Called on the trio thread as well, to wake what cannot be cancelled.
        """
        token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as scope:

            def stop() -> None:
                scope.cancel(reason="a signal came")
                if also is not None:
                    also()

            self._stop = lambda: token.run_sync_soon(stop)
            try:
                if self.received is not None:
                    scope.cancel(reason="a signal came before")
                yield
            finally:
                self._stop = None

    @contextmanager
    def installed(self) -> Generator[None, None, None]:
        """Take the signals over; elsewhere than on the main thread, leave them alone."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            _leave(128 + number)
        self.received = signal.Signals(number)
        if self._stop is not None:
            self._stop()


def run_interruptible(work: Callable[[Interrupts], Awaitable[T]]) -> T:
    """Run a command's asynchronous part; it looks at the interrupts for how it ended."""
    interrupts = Interrupts()
    with interrupts.installed():
        return trio.run(work, interrupts)


def _leave(code: int) -> None:
    """End the process without waiting for anything: not for a decode, not for a full pipe."""
    if is_fancy(sys.stderr):
        os.write(2, _SHOW_CURSOR)
    os._exit(code)
