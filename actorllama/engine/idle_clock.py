"""When an actor was used last: it lets go of what it keeps for the next time when that does not come."""

from __future__ import annotations

from typing import Final

import trio

from actorllama.actors import Context

__all__ = ["IDLE_S", "IdleClock"]

IDLE_S: Final = 3.0  # touching 48 MB of pages again costs 25 ms: less than anybody notices after such a pause


class IdleClock:
    """Have an actor hear of it when it has not been used for a while.

    However often it is used, at most one timer is set, and none while nothing happens.

    Owner: the actor.
    """

    def __init__(self, ctx: Context, message: object, *, idle_s: float = IDLE_S) -> None:
        """Send ``message`` as info, ``idle_s`` after a use or later."""
        self._ctx = ctx
        self._message = message
        self._idle_s = idle_s
        self._is_set = False
        self.used_at_s = trio.current_time()

    def note_use(self) -> None:
        """Take note that the actor was used now."""
        self.used_at_s = trio.current_time()
        if not self._is_set:
            self._set(self._idle_s)

    def is_over(self) -> bool:
        """Take the message: tell whether that was the last use; if not, it comes again."""
        self._is_set = False
        left_s = self.used_at_s + self._idle_s - trio.current_time()
        if left_s <= 0:
            return True
        self._set(left_s)
        return False

    def _set(self, delay_s: float) -> None:
        self._is_set = True
        self._ctx.send_after(delay_s, self._message)
