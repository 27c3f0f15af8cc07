"""What static and dynamic supervisors share: start, stop, count restarts, try again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, assert_never

import trio

from actorllama.actors.actor import Actor
from actorllama.actors.child import Child, Retry
from actorllama.actors.children import (
    ChildCounts,
    CountChildren,
    DeleteChild,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
)
from actorllama.actors.events import CHILD_FAILED, CHILD_ODD_EXIT, CHILD_RESTART, GAVE_UP
from actorllama.actors.mailbox import CALL, INFO
from actorllama.actors.notice import Exit
from actorllama.actors.outcomes import Halt
from actorllama.actors.reason import Crash, ExitReason, Killed, Normal, Shutdown
from actorllama.actors.ref import Ref
from actorllama.actors.reply import Caller
from actorllama.actors.restart import Backoff, decide_restart
from actorllama.actors.spec import ChildSpec
from actorllama.actors.stopping import stop_process
from actorllama.errors import ActorError, ConfigError, RestartIntensityReached
from actorllama.telemetry import Event

__all__ = ["Interrupted", "Overseer"]


class Interrupted(Exception):
    """The supervisor was asked to stop while it was starting a child; the child is dead."""


class Overseer(Actor, ABC):
    """Base of supervisors: an actor whose state is its children.

    It traps exits, answers administration calls, and never runs anything that could fail by itself.
    """

    trap_exits: ClassVar[bool] = True
    is_supervisor: ClassVar[bool] = True

    def __init__(self, *, max_restarts: int, period_s: float, backoff: Backoff | None) -> None:
        """Check the flags; nothing starts before ``init``."""
        if max_restarts < 0:
            raise ConfigError(
                field="max_restarts", value=max_restarts, source="supervisor", hint="At least 0."
            )
        if period_s <= 0:
            raise ConfigError(field="period_s", value=period_s, source="supervisor", hint="Above 0.")
        self.max_restarts = max_restarts
        self.period_s = period_s
        self.backoff = backoff
        self.children: dict[Child, None] = {}  # in start order
        self.running: dict[Ref, Child] = {}
        self.restarts_s: tuple[float, ...] = ()

    # -- what a kind of supervisor decides -----------------------------------------------------

    @abstractmethod
    async def child_exited(self, child: Child, reason: ExitReason) -> Halt | None:
        """A child has ended by itself."""
        ...

    @abstractmethod
    async def bring_back(self, child: Child) -> None:
        """Do a restart that was allowed."""
        ...

    @abstractmethod
    async def start_child(self, spec: ChildSpec) -> Ref:
        """Add a child."""
        ...

    @abstractmethod
    async def terminate_child(self, child: str | Ref) -> None:
        """Stop a child."""
        ...

    @abstractmethod
    async def restart_child(self, child_id: str) -> Ref:
        """Start a stopped child."""
        ...

    @abstractmethod
    def delete_child(self, child_id: str) -> None:
        """Forget a stopped child."""
        ...

    # -- messages ------------------------------------------------------------------------------

    async def dispatch(self, kind: int, message: object, caller: Caller | None) -> Halt | None:
        """Answer administration calls, and look after children that ended."""
        try:
            if kind == CALL and caller is not None:
                await self._administer(message, caller)
            elif kind == INFO and isinstance(message, Exit):
                return await self._take_exit(message)
            elif kind == INFO and isinstance(message, Retry):
                return await self._take_retry(message)
            else:
                self.tell_unhandled(message)
        except Interrupted:
            pass  # the request to stop is the next thing that the loop takes
        return None

    async def _administer(self, message: object, caller: Caller) -> None:
        if not isinstance(message, ADMINISTRATION):
            self.tell_unhandled(message)
            caller.reply_error(
                TypeError(f"{self.ctx.ref!r} is a supervisor and takes no {type(message).__name__}")
            )
            return
        try:
            answer = await self._answer(message)
        except (ActorError, ConfigError) as exc:
            caller.reply_error(exc)
        else:
            caller.reply(answer)

    async def _answer(
        self,
        message: StartChild | TerminateChild | RestartChild | DeleteChild | WhichChildren | CountChildren,
    ) -> object:
        match message:
            case StartChild(spec):
                return await self.start_child(spec)
            case TerminateChild(child):
                await self.terminate_child(child)
                return None
            case RestartChild(child):
                return await self.restart_child(child)
            case DeleteChild(child):
                self.delete_child(child)
                return None
            case WhichChildren():
                return tuple(child.info for child in reversed(self.children))
            case CountChildren():
                return self._count()
            case _:
                assert_never(message)

    def _count(self) -> ChildCounts:
        infos = [child.info for child in self.children]
        n_supervisors = sum(info.type == "supervisor" for info in infos)
        return ChildCounts(
            specs=len(infos),
            active=sum(info.state == "running" for info in infos),
            supervisors=n_supervisors,
            workers=len(infos) - n_supervisors,
        )

    async def _take_exit(self, exit_: Exit) -> Halt | None:
        child = None if exit_.ref is None else self.running.pop(exit_.ref, None)
        if child is None:
            return None  # a child that was stopped on purpose, or somebody else's business (rule V24)
        child.process = None
        child.state = "stopped"
        return await self.child_exited(child, exit_.reason)

    async def _take_retry(self, retry: Retry) -> Halt | None:
        child = retry.child
        if child.retry is not retry:
            return None  # stopped, deleted or started by hand meanwhile
        child.retry = None
        if not retry.is_counted:
            return await self.restart(child, Normal())
        await self.bring_back(child)
        return None

    # -- restarts ------------------------------------------------------------------------------

    async def restart(self, child: Child, reason: ExitReason) -> Halt | None:
        """Restart a child if that is tolerated, now or after the back-off; else give up."""
        decision = decide_restart(
            self.restarts_s, now_s=trio.current_time(), max_restarts=self.max_restarts, period_s=self.period_s
        )
        self.restarts_s = decision.restarts_s
        n_restarts = len(decision.restarts_s)
        if not decision.is_allowed:
            return self._give_up(child, reason, n_restarts)
        delay_s = 0.0 if self.backoff is None else self.backoff.delay_s(n_restarts)
        child.n_restarts += 1
        self._tell(CHILD_RESTART, child, reason, n_restarts=n_restarts, delay_s=delay_s)
        if delay_s > 0:
            await self.prepare_restart(child)
            self.try_again(child, delay_s=delay_s, is_counted=True)
        else:
            await self.bring_back(child)
        return None

    async def prepare_restart(self, child: Child) -> None:
        """Stop what must not go on while a restart is delayed."""

    def try_again(self, child: Child, *, delay_s: float, is_counted: bool) -> None:
        """Mark a child as restarting and come back to it; the supervisor stays responsive (rule V13)."""
        retry = Retry(child, is_counted)
        child.process = None
        child.state = "restarting"
        child.retry = retry
        process = self.ctx.process
        if delay_s > 0:
            process.after(delay_s, lambda: process.mailbox.post((INFO, retry, None)))
        else:
            process.mailbox.post((INFO, retry, None))

    def _give_up(self, child: Child, reason: ExitReason, n_restarts: int) -> Halt:
        self._tell(GAVE_UP, child, reason, n_restarts=n_restarts, period_s=self.period_s)
        del self.children[child]
        error = RestartIntensityReached(
            child=child.spec.id, n_restarts=self.max_restarts, period_s=self.period_s
        )
        if isinstance(reason, Crash):
            error.__cause__ = reason.exc
        return Halt(Shutdown(error))

    # -- one child -----------------------------------------------------------------------------

    async def launch(self, child: Child) -> Ref:
        """Start a child's process; a request to stop the supervisor interrupts it.

        Raises:
            Interrupted: The supervisor has to stop.
            ActorError: The start failed; the child is as it was.
        """
        process = self.ctx.process
        if process.is_asked_to_stop:
            raise Interrupted
        with trio.CancelScope() as scope:
            process.interrupt = scope.cancel
            try:
                started = await self.ctx.kernel.start_process(child.spec, parent=process)
            finally:
                process.interrupt = None
            child.retry = None
            child.process = None if started.is_ignored else started
            child.state = "stopped" if started.is_ignored else "running"
            if child.process is not None:
                self.running[started.ref] = child
            return started.ref
        raise Interrupted

    async def launch_or_retry(self, child: Child) -> bool:
        """Start a child again; if that fails, come back to it later and say so."""
        try:
            await self.launch(child)
        except ActorError as exc:
            self._tell(CHILD_FAILED, child, exc)
            self.try_again(child, delay_s=0.0, is_counted=False)
            return False
        return True

    async def stop_child(self, child: Child) -> None:
        """Stop a child, whatever state it is in."""
        process = child.process
        child.retry = None
        if process is not None:
            self.running.pop(process.ref, None)
            reason = await stop_process(process, Shutdown())
            if not self._is_expected(child, reason):
                self._tell(CHILD_ODD_EXIT, child, reason)
        child.process = None
        child.state = "stopped"

    @staticmethod
    def _is_expected(child: Child, reason: ExitReason) -> bool:
        if child.spec.is_brutal:
            return isinstance(reason, Killed)
        return isinstance(reason, Shutdown) or (
            isinstance(reason, Normal) and child.spec.restart != "permanent"
        )

    def _tell(self, event: Event, child: Child, reason: object, **measurements: float) -> None:
        self.ctx.bus.execute(
            event, measurements, {"supervisor": self.ctx.ref.name, "child": child.spec.id, "reason": reason}
        )


ADMINISTRATION = (StartChild, TerminateChild, RestartChild, DeleteChild, WhichChildren, CountChildren)
