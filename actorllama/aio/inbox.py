"""What comes from the trio side, in order, to whoever waits on another thread."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol, TypeAlias

from actorllama.errors import StateError

__all__ = ["Action", "Inbox", "LoopInbox", "QueueInbox"]

Action: TypeAlias = Callable[[], None]
"""Something to be done where the inbox is read; it neither waits nor raises."""
_READ_THERE = "Read it there, and hand on what it brought."


class Inbox(Protocol):
    """Where the trio side puts what it has to say."""

    def post(self, action: Action) -> None:
        """Put an action behind those that were put before; any thread may."""
        ...

    @property
    def is_gone(self) -> bool:
        """Whether nobody will ever read it again."""
        ...


class LoopInbox:
    """The inbox of one asyncio loop: however much comes at once, the loop is woken once.

    Where trio is a guest of that loop, what it posts is done at once: it is on the thread that reads.

    Owner: the loop reads, any thread writes. Appending to a deque and taking from it are each one step of
    the interpreter, and the flag is cleared before the deque is emptied: what comes later wakes again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin empty; the loop runs on the calling thread."""
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._actions: deque[Action] = deque()
        self._is_woken = False

    @property
    def is_gone(self) -> bool:
        """Whether the loop was closed."""
        return self._loop.is_closed()

    def check_here(self, operation: str) -> None:
        """Insist that the loop that reads it runs here: another one would never be woken.

        Raises:
            StateError: It does not.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise StateError(operation=operation, reason="another loop opened it", hint=_READ_THERE)

    def post(self, action: Action) -> None:
        """Put an action, and wake the loop unless it was woken already; on the loop's own thread, do it."""
        if not self._actions and self._is_here():
            action()
            return
        self._actions.append(action)
        if self._is_woken:
            return
        self._is_woken = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop was closed; who watches `is_gone` deals with that
            self._actions.clear()

    def _is_here(self) -> bool:
        if threading.get_ident() != self._thread_id:  # most posts: an exception for each would be dear
            return False
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _drain(self) -> None:
        self._is_woken = False
        while self._actions:
            self._actions.popleft()()


class QueueInbox:
    """The inbox of one thread that blocks while it waits.

    Owner: the thread that made it reads, any thread writes.
    """

    def __init__(self) -> None:
        """Begin empty; the calling thread is the reader."""
        self._actions: SimpleQueue[Action] = SimpleQueue()
        self._reader = threading.current_thread()

    @property
    def is_gone(self) -> bool:
        """Whether the reading thread has ended."""
        return not self._reader.is_alive()

    def check_here(self, operation: str) -> None:
        """Insist that this is the thread that reads it: of two, one would wait for what the other took.

        Raises:
            StateError: It is not.
        """
        if threading.current_thread() is not self._reader:
            raise StateError(operation=operation, reason="another thread opened it", hint=_READ_THERE)

    def post(self, action: Action) -> None:
        """Put an action."""
        self._actions.put(action)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Do what comes until a condition holds; Ctrl-C interrupts it."""
        while not is_so():
            self._actions.get()()
