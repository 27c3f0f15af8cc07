"""The notices that the kernel sends to ``handle_info``, and the monitors that cause them."""

from __future__ import annotations

from collections.abc import Callable

import trio
from attrs import frozen

from actorllama.actors.reason import ExitReason
from actorllama.actors.ref import Ref

__all__ = ["Down", "Exit", "Monitor"]


@frozen(kw_only=True)
class Exit:
    """A linked actor ended, or somebody sent an exit signal, and this actor traps exits.

    ``ref`` is ``None`` when the signal came from outside the actors.
    """

    ref: Ref | None
    reason: ExitReason


@frozen(kw_only=True, eq=False)
class Down:
    """A monitored actor ended, or there was none.

    ``ref`` is ``None`` when a name was monitored that nobody held.
    """

    monitor: Monitor
    ref: Ref | None
    reason: ExitReason


class Monitor:
    """One watch on one actor: tells once, whatever the reason, and only its owner.

    Owner: who made it.
    """

    __slots__ = ("_cancel", "_deliver", "_event", "down", "name", "ref")

    def __init__(self, *, ref: Ref | None, name: str, deliver: Callable[[Down], None] | None) -> None:
        """Made by ``ctx.monitor`` and ``system.monitor``."""
        self.ref = ref
        self.name = name
        self.down: Down | None = None
        self._deliver = deliver
        self._event: trio.Event | None = None
        self._cancel: Callable[[Monitor], None] | None = None

    def __repr__(self) -> str:
        """Show what is watched and what became of it."""
        return f"<Monitor {self.name} {self.down.reason if self.down else 'up'}>"

    async def wait(self) -> Down:
        """Wait for the death; returns at once if it has been."""
        if self.down is None:
            if self._event is None:
                self._event = trio.Event()
            await self._event.wait()
        else:
            await trio.lowlevel.checkpoint()
        if self.down is None:
            raise AssertionError("a monitor's event is set when it has fired")
        return self.down

    def arm(self, cancel: Callable[[Monitor], None]) -> None:
        """Remember how to stop watching."""
        self._cancel = cancel

    def disarm(self) -> None:
        """Stop watching; nothing is told from now on."""
        if self._cancel is not None:
            self._cancel(self)
            self._cancel = None

    def fire(self, reason: ExitReason) -> None:
        """Tell the owner, once."""
        self._cancel = None
        self.down = Down(monitor=self, ref=self.ref, reason=reason)
        if self._deliver is not None:
            self._deliver(self.down)
        if self._event is not None:
            self._event.set()
