"""Looking into a live actor, and turning its screws: OTP's ``sys`` module."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import trio
from attrs import frozen

from actorllama.actors.debug import Debugger, Hook, SysEvent
from actorllama.actors.living import Living
from actorllama.actors.process import Process
from actorllama.actors.ref import DEFAULT_TIMEOUT_S, Ref

__all__ = [
    "Statistics",
    "Status",
    "get_log",
    "get_state",
    "get_status",
    "install_hook",
    "keep_log",
    "remove_hook",
    "replace_state",
    "resume",
    "statistics",
    "suspend",
    "trace",
]


@frozen(kw_only=True)
class Statistics:
    """Counts since the start. ``n_in`` are messages taken, ``n_out`` replies given."""

    n_in: int
    n_out: int
    n_late_replies: int
    n_dropped: int
    n_queued: int
    n_queued_peak: int
    capacity: int
    age_s: float


@frozen(kw_only=True)
class Status:
    """What an actor is at this moment."""

    ref: Ref
    kind: str
    phase: str
    parent: Ref | None
    links: tuple[Ref, ...]
    n_monitors: int
    n_unanswered: int
    state: object
    log: tuple[SysEvent, ...]


async def get_state(ref: Ref, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> object:
    """Show the state: a server's attributes, or the pair of state and attributes of a machine.

    Like everything in this module it is handled by the actor itself, in order with its messages, and
    while it is suspended.

    Raises:
        ActorExited: It is dead.
        CallTimeout: It did not come to it in time.
        CallingSelf: An actor looks at itself without asking.
    """
    return await ref.system_call(lambda process: _of(process).actor_state(), timeout_s=timeout_s)


async def replace_state(
    ref: Ref, change: Callable[[object], object], *, timeout_s: float = DEFAULT_TIMEOUT_S
) -> object:
    """Put ``change(state)`` in the place of the state, and return it.

    If ``change`` raises, so does this, and the state is what it was.
    """
    return await ref.system_call(lambda process: _of(process).change_state(change), timeout_s=timeout_s)


async def get_status(ref: Ref, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Status:
    """Show the actor from all sides."""
    return cast("Status", await ref.system_call(lambda process: _of(process).status(), timeout_s=timeout_s))


async def statistics(ref: Ref, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Statistics:
    """Show the counts, which are always kept."""
    answer = await ref.system_call(lambda process: _of(process).statistics(), timeout_s=timeout_s)
    return cast("Statistics", answer)


async def suspend(ref: Ref, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Let messages queue until :func:`resume`; looking and stopping still work."""
    await ref.system_call(lambda process: _of(process).suspend(), timeout_s=timeout_s)


async def resume(ref: Ref, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Handle messages again, in the order in which they came."""
    await ref.system_call(lambda process: _of(process).resume(), timeout_s=timeout_s)


async def keep_log(ref: Ref, *, n_events: int, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Keep the last ``n_events`` in a ring; 0 keeps none."""
    await _debug(ref, lambda debugger: debugger.keep_log(n_events), timeout_s)


async def get_log(ref: Ref, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> tuple[SysEvent, ...]:
    """Show the ring, oldest first."""
    return cast("tuple[SysEvent, ...]", await _debug(ref, lambda debugger: debugger.log, timeout_s))


async def trace(ref: Ref, *, n_per_s: int = 100, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Tell each message as an event ``actors.actor.trace``, at most ``n_per_s``; 0 ends it."""
    await _debug(ref, lambda debugger: debugger.trace(n_per_s), timeout_s)


async def install_hook(ref: Ref, name: str, hook: Hook, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Call ``hook(event)`` for each message, until it returns ``"done"`` or raises."""
    await _debug(ref, lambda debugger: debugger.install(name, hook), timeout_s)


async def remove_hook(ref: Ref, name: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Take a hook away."""
    await _debug(ref, lambda debugger: debugger.remove(name), timeout_s)


async def _debug(ref: Ref, act: Callable[[Debugger], object], timeout_s: float) -> object:
    return await ref.system_call(lambda process: _of(process).debug(act), timeout_s=timeout_s)


def _of(process: object) -> _View:
    return _View(cast("Process", process))


@frozen
class _View:
    """The answers, computed in the actor's own task."""

    process: Process

    def actor_state(self) -> object:
        return self._actor.get_state()

    def change_state(self, change: Callable[[object], object]) -> object:
        state = change(self._actor.get_state())
        self._actor.set_state(state)
        return state

    def suspend(self) -> None:
        self.process.phase = "suspended"
        self.process.mailbox.hold()

    def resume(self) -> None:
        self.process.phase = "running"
        self.process.mailbox.release()

    def statistics(self) -> Statistics:
        process = self.process
        return Statistics(
            n_in=process.n_messages,
            n_out=process.n_replies,
            n_late_replies=process.n_late_replies,
            n_dropped=process.n_dropped,
            n_queued=len(process.mailbox),
            n_queued_peak=process.mailbox.n_peak,
            capacity=process.mailbox.capacity,
            age_s=trio.current_time() - process.born_s,
        )

    def status(self) -> Status:
        process = self.process
        tracer = process.tracer
        return Status(
            ref=process.ref,
            kind=process.kind,
            phase=process.phase,
            parent=None if process.parent is None else process.parent.ref,
            links=tuple(other.ref for other in process.links),
            n_monitors=len(process.monitors),
            n_unanswered=len(process.outstanding) - 1,  # without the one who asks
            state=self._actor.get_state(),
            log=() if tracer is None else tracer.log,
        )

    def debug(self, act: Callable[[Debugger], object]) -> object:
        process = self.process
        debugger = process.tracer or Debugger(process.ref, process.bus)
        answer = act(debugger)
        process.tracer = None if debugger.is_idle else debugger
        return answer

    @property
    def _actor(self) -> Living:
        if self.process.actor is None:
            raise AssertionError("system requests are served after init")
        return self.process.actor
