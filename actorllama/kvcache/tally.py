"""Counters that several threads may raise at once."""

from __future__ import annotations

from threading import get_ident

__all__ = ["Tally"]


class Tally:
    """Exact counts without a lock: each thread raises its own, and reading adds them up.

    Owner: any thread may call any method.
    """

    def __init__(self) -> None:
        """Begin with zero of everything."""
        self._counts: dict[tuple[int, str], int] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Raise one counter."""
        mine = (get_ident(), name)  # only this thread writes here, so nothing is lost between read and write
        self._counts[mine] = self._counts.get(mine, 0) + amount

    def __getitem__(self, name: str) -> int:
        """Add up one counter."""
        # list() of a dict's items is one step of the interpreter: no other thread comes between.
        return sum(count for (_, counted), count in list(self._counts.items()) if counted == name)
