"""The one task of an actor: init, one message after the other, terminate; and the guard around it all."""

from __future__ import annotations

from typing import Protocol, cast

import trio

from actorllama.actors.actor import Actor
from actorllama.actors.context import Context, Kernel
from actorllama.actors.events import ACTOR_START, UNWIND_FAILED
from actorllama.actors.mailbox import KIND_NAMES, SHUTDOWN, STOP, SYSTEM
from actorllama.actors.outcomes import Halt, Ignore, Refuse
from actorllama.actors.process import Process
from actorllama.actors.reason import Crash, ExitReason, Killed, Normal, flatten, is_interrupt, reason_of
from actorllama.actors.reply import Caller
from actorllama.errors import BadReturn, StartRefused

__all__ = ["Loop"]


class Shell(Kernel, Protocol):
    """What the loop needs of the system."""

    @property
    def messages_per_step(self) -> int:
        """How many messages one task step may handle before others get a turn."""
        ...

    def abort(self, exc: BaseException) -> None:
        """An interrupt reached an actor: take the system down in order, then raise it."""
        ...


class SystemRequest(Protocol):
    """A question that the kernel answers in the actor's own task, between two messages."""

    def __call__(self, process: Process, /) -> object:
        """Return the reply, or raise it."""
        ...


class Loop:
    """Run one actor in its process.

    This is the only place where the exceptions of callbacks end. Cancellation, Ctrl-C and SystemExit pass.

    Owner: the task that runs it.
    """

    __slots__ = ("_actor", "_process", "_ready", "_shell")

    def __init__(self, shell: Shell, process: Process) -> None:
        """Prepare; nothing runs before :meth:`run`."""
        self._shell = shell
        self._process = process
        self._actor = Actor()
        self._ready: object = None

    async def run(self) -> None:
        """Live, and be buried in any case."""
        process = self._process
        process.task = trio.lowlevel.current_task()
        halt = Halt(Killed("the system failed"))
        try:
            with process.scope:
                halt = await self._live()
        except (KeyboardInterrupt, SystemExit, BaseExceptionGroup) as exc:
            halt = Halt(Crash(exc))
            self._take_interrupt(exc)
        finally:
            for caller, value in halt.replies:
                caller.reply(value)
            process.bury(halt.reason)
            process.task = None
            process.actor = None  # who keeps the Ref of a dead actor does not keep its state

    def _take_interrupt(self, exc: BaseException) -> None:
        if is_interrupt(exc):
            self._shell.abort(exc)
        elif self._process.exit_reason is not None and isinstance(exc, Exception):
            self._tell_unwinding(exc)  # what is left of a group when the kill has been taken out of it
        else:
            raise exc

    def _tell_unwinding(self, exc: Exception) -> None:
        process = self._process
        self._shell.bus.execute(
            UNWIND_FAILED, {}, {"pid": process.pid, "actor": process.ref.name, "error": flatten(exc)}
        )

    async def _live(self) -> Halt:
        refusal = await self._init()
        if refusal is not None:
            return refusal
        try:
            halt = await self._serve()
        except Exception as exc:  # noqa: BLE001 - the guard: a crash is a reason, told to all who care
            halt = Halt(reason_of(exc))
            if self._process.exit_reason is not None:
                self._tell_unwinding(exc)
        if self._process.exit_reason is not None:
            return halt  # killed meanwhile: nothing of the actor runs any more
        self._process.phase = "stopping"
        try:
            await self._actor.terminate(halt.reason)
        except Exception as exc:  # noqa: BLE001 - the guard: what terminate raises replaces the reason (G16)
            halt = Halt(reason_of(exc), halt.replies)
        return halt

    async def _init(self) -> Halt | None:
        process = self._process
        try:
            self._actor = actor = _actor_of(process.spec.start())
            process.adopt(actor, traps_exits=actor.trap_exits, is_supervisor=actor.is_supervisor)
            actor.ctx = Context(self._shell, process)
            outcome = await actor.init(actor.ctx)
        except Exception as exc:  # noqa: BLE001 - the guard: the starter gets what init raised
            return self._refuse(reason_of(exc), cause=exc)
        match outcome:
            case Ignore():
                process.is_ignored = True
                return Halt(Normal())
            case Refuse(reason):
                return self._refuse(reason)
            case ready if isinstance(ready, actor.ready_types):
                self._ready = ready
                self._acknowledge()
                return None
            case other:
                return self._refuse(Crash(BadReturn(callback="init", value=other)))

    def _acknowledge(self) -> None:
        process = self._process
        process.acknowledge()
        self._shell.bus.execute(
            ACTOR_START,
            {"init_s": trio.current_time() - process.born_s},
            {"pid": process.pid, "actor": process.ref.name, "kind": process.kind},
        )

    def _refuse(self, reason: object, *, cause: Exception | None = None) -> Halt:
        error = StartRefused(child=self._process.ref.name, reason=reason)
        error.__cause__ = cause
        self._process.start_error = error
        return Halt(reason if isinstance(reason, ExitReason) else Crash(error))

    # -- messages ------------------------------------------------------------------------------

    async def _serve(self) -> Halt:
        process, actor, mailbox = self._process, self._actor, self._process.mailbox
        task, burst = trio.lowlevel.current_task(), self._shell.messages_per_step
        halt = await actor.start_up(self._ready)
        self._ready = None
        n_in_step = 0
        while halt is None:
            if n_in_step >= burst:
                n_in_step = 0
                await trio.lowlevel.checkpoint()
            item = mailbox.pop()
            if item is None:
                n_in_step = 0
                # Who waits holds no message: one may have brought a state of hundreds of megabytes.
                process.current = message = caller = None
                await mailbox.park(task)
                continue
            n_in_step += 1
            kind, message, caller = item
            process.current = message
            if kind >= SYSTEM:
                halt = self._obey(kind, message, caller)
                continue
            process.n_messages += 1
            if process.tracer is not None:
                process.tracer(KIND_NAMES[kind], message)
            halt = await actor.dispatch(kind, message, caller)
        return halt

    def _obey(self, kind: int, message: object, caller: Caller | None) -> Halt | None:
        if kind in (STOP, SHUTDOWN):
            return Halt(cast("ExitReason", message))
        request = cast("SystemRequest", message)
        if caller is None:
            raise AssertionError("system requests are calls")
        try:
            answer = request(self._process)
        except Exception as exc:  # noqa: BLE001 - the guard: the asker's fault is the asker's (rule Y2)
            caller.reply_error(flatten(exc))
        else:
            caller.reply(answer)
        return None


def _actor_of(made: object) -> Actor:
    if not isinstance(made, Actor):
        raise TypeError(f"a child's start must make an Actor, not {made!r}")
    return made
