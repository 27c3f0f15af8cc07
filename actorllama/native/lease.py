"""Free a native handle exactly once, after its last user has left it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from actorllama.errors import StateError

__all__ = ["Lease"]


class Lease:
    """Count who is inside a native handle, and free it when closed and empty.

    C code cannot be interrupted: when an actor dies while its thread is inside ``llama_decode``, the
    context must stay until that thread comes back. Whoever leaves last frees; nobody frees twice.

    Owner: the object that wraps the handle. Any thread may enter and close. This is one of the few
    places with a lock (style.md: locks live in ``native/`` only); it is held for nanoseconds, never
    across a native call.
    """

    __slots__ = ("_free", "_is_closed", "_is_freed", "_lock", "_n_users", "_what")

    def __init__(self, *, what: str, free: Callable[[], None]) -> None:
        """Guard ``what``; ``free`` runs once, on the thread that turns out to be the last."""
        self._what = what
        self._free = free
        self._lock = threading.Lock()
        self._n_users = 0
        self._is_closed = False
        self._is_freed = False

    @property
    def is_closed(self) -> bool:
        """Whether no new use is admitted any more."""
        return self._is_closed

    @property
    def is_freed(self) -> bool:
        """Whether the native memory has been given back."""
        return self._is_freed

    def enter(self) -> None:
        """Begin a use.

        Raises:
            StateError: The handle is closed; calling into C would touch freed memory.
        """
        with self._lock:
            if self._is_closed:
                raise StateError(operation=self._what, reason="it is closed")
            self._n_users += 1

    def leave(self) -> None:
        """End a use; free the handle if it was closed meanwhile and this was the last user."""
        with self._lock:
            self._n_users -= 1
            must_free = self._is_closed and self._n_users == 0 and not self._is_freed
            self._is_freed = self._is_freed or must_free
        if must_free:
            self._free()

    @contextmanager
    def use(self) -> Generator[None, None, None]:
        """Hold the handle open for the length of a ``with`` block."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def close(self) -> None:
        """Admit no new use; free now, or when the last user leaves. Safe to call again."""
        with self._lock:
            self._is_closed = True
            must_free = self._n_users == 0 and not self._is_freed
            self._is_freed = self._is_freed or must_free
        if must_free:
            self._free()
