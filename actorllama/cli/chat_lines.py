"""Where a chat's lines come from: a terminal with editing and history, or any other standard input."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Final, Protocol

import trio
from attrs import frozen
from prompt_toolkit import PromptSession
from prompt_toolkit.history import InMemoryHistory

from actorllama.errors import RequestError

__all__ = ["Leave", "LineSource", "PipeLines", "TerminalLines"]

_CHUNK_BYTES: Final = 1 << 16
_MAX_LINE_BYTES: Final = 1 << 24


@frozen(kw_only=True)
class Leave:
    """There are no more lines; ``is_interrupt`` says whether Ctrl-C said so."""

    is_interrupt: bool = False


class LineSource(Protocol):
    """Gives one line at a time."""

    async def read(self) -> str | Leave:
        """Wait for a line; without its end."""
        ...

    def wake(self) -> None:
        """Make a waiting ``read`` return; for what a cancellation cannot reach."""
        ...


class TerminalLines:
    """Lines typed at a terminal. prompt_toolkit waits in a thread of its own, off the trio loop.

    Owner: the chat command.
    """

    def __init__(self) -> None:
        """Begin with an empty history."""
        self._session: PromptSession[str] = PromptSession(history=InMemoryHistory())
        self._is_woken = threading.Event()

    async def read(self) -> str | Leave:
        """Wait for a line; Ctrl-D and Ctrl-C leave."""
        return await trio.to_thread.run_sync(self._prompt)

    def wake(self) -> None:
        """End the prompt as Ctrl-D would, so that the terminal is put back in order."""
        self._is_woken.set()
        loop = self._session.app.loop
        if loop is not None:  # otherwise it has not begun, and looks at the event when it does
            with contextlib.suppress(RuntimeError):  # it has just ended, and its loop is closed
                loop.call_soon_threadsafe(self._leave_if_woken)

    def _prompt(self) -> str | Leave:
        try:
            return self._session.prompt("> ", handle_sigint=False, pre_run=self._leave_if_woken)
        except KeyboardInterrupt:
            return Leave(is_interrupt=True)
        except EOFError:
            return Leave()

    def _leave_if_woken(self) -> None:
        app = self._session.app
        if self._is_woken.is_set() and app.is_running and not app.is_done:
            app.exit(exception=EOFError())


class PipeLines:
    """Lines of a pipe or a file. Read from the descriptor as bytes come, so waiting can be cancelled.

    Owner: the chat command.
    """

    def __init__(self, descriptor: int = 0) -> None:
        """Read from a descriptor; standard input by default."""
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._is_at_end = False

    async def read(self) -> str | Leave:
        """Wait for a line; the end of the input leaves.

        Raises:
            RequestError: The line is not UTF-8, or longer than 16 MiB.
        """
        if self._descriptor == 0 and sys.stdin.isatty():
            os.write(2, b"> ")
        await trio.lowlevel.checkpoint()
        while b"\n" not in self._buffer and not self._is_at_end:
            await self._fill()
        if not self._buffer:
            return Leave()
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return _text_of(line)

    def wake(self) -> None:
        """Nothing to wake: a cancellation is enough."""

    async def _fill(self) -> None:
        with contextlib.suppress(PermissionError):  # a regular file cannot be polled, and need not be
            await trio.lowlevel.wait_readable(self._descriptor)
        chunk = os.read(self._descriptor, _CHUNK_BYTES)
        self._is_at_end = not chunk
        self._buffer += chunk
        if len(self._buffer) > _MAX_LINE_BYTES:
            raise RequestError(
                field="line", value=len(self._buffer), reason=f"at most {_MAX_LINE_BYTES} bytes"
            )


def _text_of(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        found = line[error.start : error.start + 8]
        reason = f"the line is not UTF-8 at byte {error.start}"
        raise RequestError(field="line", value=found, reason=reason) from error
