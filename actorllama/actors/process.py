"""A process: identity, mailbox, links and monitors, and what its death means to others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from actorllama.actors.debug import Debugger
from actorllama.actors.events import ACTOR_CRASH, ACTOR_EXIT, DEAD_LETTER
from actorllama.actors.host import Host
from actorllama.actors.living import Living
from actorllama.actors.mailbox import CALL, CAST, INFO, SHUTDOWN, Mailbox, Overflow
from actorllama.actors.notice import Exit, Monitor
from actorllama.actors.reason import Crash, ExitReason, Killed, Normal, is_normal
from actorllama.actors.ref import Ref
from actorllama.actors.reply import Caller
from actorllama.actors.spec import ChildSpec
from actorllama.actors.timers import Timer
from actorllama.errors import ActorExited, CallTimeout
from actorllama.telemetry import Bus

__all__ = ["Process"]


class Process:
    """One actor as the kernel sees it. Its task is in ``loop.py``; this is what others act upon.

    It is dead from the moment ``exit_reason`` is set, for everybody, even if its task (or a thread that
    the task waits for) still has to unwind.

    Owner: its system.
    """

    __slots__ = (
        "_host",
        "actor",
        "born_s",
        "children",
        "current",
        "exit_event",
        "exit_reason",
        "has_started",
        "interrupt",
        "is_asked_to_stop",
        "is_ignored",
        "is_supervisor",
        "kind",
        "links",
        "mailbox",
        "monitors",
        "n_dropped",
        "n_late_replies",
        "n_messages",
        "n_replies",
        "on_exit",
        "outstanding",
        "overflow",
        "parent",
        "phase",
        "pid",
        "ref",
        "scope",
        "spec",
        "start_error",
        "started",
        "task",
        "timers",
        "tracer",
        "traps_exits",
        "watching",
    )

    def __init__(self, host: Host, *, pid: int, spec: ChildSpec, parent: Process | None) -> None:
        """Made by the system; the actor itself is made later, in the process's own task."""
        self._host = host
        self.pid = pid
        self.spec = spec
        self.ref = Ref(self, pid=pid, name=str(spec.name or spec.id))
        self.mailbox = Mailbox(spec.mailbox_capacity)
        self.overflow: Overflow = spec.overflow
        self.timers = host.timers
        self.parent = parent
        self.children: dict[Process, None] = {}
        self.links: dict[Process, None] = {}
        self.monitors: dict[Monitor, None] = {}
        self.watching: dict[Monitor, None] = {}
        self.outstanding: dict[Caller, None] = {}
        self.on_exit: dict[Callable[[], None], None] = {}
        self.scope = trio.CancelScope()
        self.task: trio.lowlevel.Task | None = None
        self.actor: Living | None = None
        self.kind = ""
        self.phase = "starting"
        self.traps_exits = False
        self.started = trio.Event()
        self.has_started = False
        self.is_ignored = False
        self.is_asked_to_stop = False
        self.is_supervisor = spec.type == "supervisor"
        self.start_error: BaseException | None = None
        self.exit_event: trio.Event | None = None
        self.exit_reason: ExitReason | None = None
        self.interrupt: Callable[[], None] | None = None
        self.tracer: Debugger | None = None
        self.current: object = None
        self.born_s = trio.current_time()
        self.n_messages = 0
        self.n_replies = 0
        self.n_late_replies = 0
        self.n_dropped = 0
        if parent is not None:
            parent.children[self] = None

    def __repr__(self) -> str:
        """Show the reference and the phase."""
        return f"<Process {self.ref!r} {self.phase}>"

    def adopt(self, actor: Living, *, traps_exits: bool, is_supervisor: bool) -> None:
        """Learn which actor lives here, before its init."""
        self.actor = actor
        self.kind = type(actor).__name__
        self.traps_exits = traps_exits
        self.is_supervisor = is_supervisor

    def acknowledge(self) -> None:
        """Init succeeded: let the starter go on."""
        self.has_started = True
        self.phase = "running"
        self.started.set()

    @property
    def bus(self) -> Bus:
        """The bus of the system."""
        return self._host.bus

    # -- what a Ref and a Caller need ----------------------------------------------------------

    def withdraw(self, caller: Caller) -> None:
        """Take back a call that still waits for room."""
        self.mailbox.withdraw(caller)

    def timeout_error(self, timeout_s: float) -> BaseException:
        """Make the error for a call that ran out of time."""
        return CallTimeout(ref=self.ref, timeout_s=timeout_s)

    def drop_reply(self, caller: Caller) -> None:
        """Count a reply that nobody waits for."""
        self.n_late_replies += 1
        self.drop(caller.message, "late_reply")

    def settle(self) -> None:
        """Count a call that got its answer; its deadline means nothing any more."""
        self.n_replies += 1
        self.timers.discard()

    def discard_alarm(self) -> None:
        """Learn that a call ended without an answer, before its deadline."""
        self.timers.discard()

    def drop(self, message: object, cause: str) -> None:
        """Tell of a message that nobody will read."""
        self.n_dropped += 1
        self._host.bus.execute(
            DEAD_LETTER,
            {"n_messages": 1},
            {"pid": self.pid, "actor": self.ref.name, "message": type(message).__name__, "cause": cause},
        )

    async def wait_exit(self) -> ExitReason:
        """Wait for the death of the actor."""
        if self.exit_reason is None:
            if self.exit_event is None:
                self.exit_event = trio.Event()
            await self.exit_event.wait()
        if self.exit_reason is None:
            raise AssertionError("the exit event is set by bury()")
        return self.exit_reason

    # -- timers ----------------------------------------------------------------------------------

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` once, unless this process dies before."""

        def ring() -> None:
            self.on_exit.pop(timer.cancel, None)
            callback()

        timer = self.timers.after(delay_s, ring)
        self.on_exit[timer.cancel] = None
        return timer

    def cancel(self, timer: Timer) -> None:
        """Cancel a timer that :meth:`after` made."""
        timer.cancel()
        self.on_exit.pop(timer.cancel, None)

    # -- signals -------------------------------------------------------------------------------

    @property
    def grace_s(self) -> float:
        """Seconds from the polite stop to the kill."""
        if self.spec.shutdown is None and self.is_supervisor:
            return float("inf")
        return self.spec.grace_s

    def receive_exit(self, sender: Ref | None, reason: ExitReason) -> None:
        """Take an exit signal from a linked actor, or from outside (rule P3)."""
        if self.exit_reason is not None:
            return
        if self.traps_exits:
            self.mailbox.post((INFO, Exit(ref=sender, reason=reason), None))
        elif not isinstance(reason, Normal):
            self.die(reason)

    def request_shutdown(self, reason: ExitReason) -> None:
        """Ask for an orderly end, ahead of all messages: the signal of a parent."""
        if self.exit_reason is None:
            self.is_asked_to_stop = True
            self.mailbox.post_urgent((SHUTDOWN, reason, None))
            if self.interrupt is not None:
                self.interrupt()

    def lose_parent(self, reason: ExitReason) -> None:
        """The parent is dead: end, in order, within the grace that the parent would have given."""
        if self.spec.is_brutal:
            self.die(Killed("the parent is dead"))
            return
        self.request_shutdown(reason)
        watchdog = self.timers.after(
            self.grace_s, lambda: self.die(Killed("grace is over, the parent is dead"))
        )
        self.on_exit[watchdog.cancel] = None

    def die(self, reason: ExitReason) -> None:
        """End at once: nothing of the actor runs any more but its ``finally`` blocks."""
        if self.exit_reason is None:
            self.bury(reason)
            self.scope.cancel(reason=str(reason))

    def link(self, other: Process) -> None:
        """Share fate with another live process; at most one link per pair."""
        self.links[other] = None
        other.links[self] = None

    def unlink(self, other: Process) -> None:
        """End the link; a later exit of either is no longer told."""
        self.links.pop(other, None)
        other.links.pop(self, None)

    def watch(self, monitor: Monitor) -> None:
        """Fire the monitor at the death of this live process."""
        self.monitors[monitor] = None
        monitor.arm(self._unwatch)

    def _unwatch(self, monitor: Monitor) -> None:
        self.monitors.pop(monitor, None)

    # -- death ---------------------------------------------------------------------------------

    def bury(self, reason: ExitReason) -> None:
        """Be dead for everybody: names, then callers, then monitors, links, parent, children.

        Does nothing the second time.
        """
        if self.exit_reason is not None:
            return
        self.exit_reason = reason
        self.phase = "dead"
        self._host.forget(self.ref)
        for clean in tuple(self.on_exit):
            clean()
        self.on_exit.clear()
        self._fail_callers(reason)
        self._tell_relatives(reason)
        self.started.set()
        if self.exit_event is not None:
            self.exit_event.set()
        self._host.bus.execute(
            ACTOR_EXIT if is_normal(reason) else ACTOR_CRASH,
            {"age_s": trio.current_time() - self.born_s, "n_messages": self.n_messages},
            {"pid": self.pid, "actor": self.ref.name, "kind": self.kind, "reason": reason},
        )

    def _fail_callers(self, reason: ExitReason) -> None:
        for kind, message, _caller in self.mailbox.drain():
            if kind in (CALL, CAST):
                self.drop(message, "drained")
        callers = tuple(self.outstanding)
        for caller in callers:
            error = ActorExited(ref=self.ref, reason=reason)
            if isinstance(reason, Crash):
                error.__cause__ = reason.exc
            caller.exit(error)

    def _tell_relatives(self, reason: ExitReason) -> None:
        deliver = self._host.deliver
        for monitor in self.watching:
            monitor.disarm()
        self.watching.clear()
        monitors, self.monitors = self.monitors, {}
        for monitor in monitors:
            deliver(partial(monitor.fire, reason))
        links, self.links = self.links, {}
        for other in links:
            other.links.pop(self, None)
            deliver(partial(other.receive_exit, self.ref, reason))
        parent = self.parent
        if parent is not None:
            parent.children.pop(self, None)
            if self.has_started or parent.traps_exits:  # a failed start is told to its starter already
                deliver(partial(parent.receive_exit, self.ref, reason))
        for child in tuple(self.children):
            deliver(partial(child.lose_parent, reason))
        self.children.clear()
