"""The generic server: state behind typed messages."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from actorllama.actors.actor import Actor
from actorllama.actors.context import Context
from actorllama.actors.mailbox import CALL, CAST, INFO
from actorllama.actors.outcomes import (
    NOTHING,
    Halt,
    IdleTimeout,
    InitOutcome,
    NoReply,
    Outcome,
    Ready,
    Reply,
    Stop,
    StopReply,
)
from actorllama.actors.reply import Caller
from actorllama.actors.timers import Timer
from actorllama.errors import BadReturn

__all__ = ["Server"]

CallT = TypeVar("CallT")
CastT = TypeVar("CastT")
InfoT = TypeVar("InfoT")

_NO_REPLY = NoReply()


class Server(Actor, Generic[CallT, CastT, InfoT]):
    """A gen_server: three unions of frozen messages, one handler for each.

    The parameters say what the actor takes: calls, casts, and notices (`Down`, `Exit`, timers and
    whatever ``info_nowait`` brings). Handlers ``match`` on the message and end in ``assert_never``. An
    exception that leaves a handler crashes the actor; a request's own fault is ``caller.reply_error``.
    """

    _idle_timer: Timer | None = None

    async def init(self, ctx: Context) -> InitOutcome:
        """Make the state."""
        return Ready()

    async def handle_continue(self, term: object) -> Outcome:
        """Go on where ``init`` or a handler left off, before any queued message (rule G12)."""
        raise NotImplementedError(f"{type(self).__name__} continues with {term!r} and has no handle_continue")

    async def handle_call(self, message: CallT, caller: Caller) -> Outcome:
        """Answer a request: `Reply` now, or `NoReply` and ``caller.reply`` later."""
        raise NotImplementedError(f"{type(self).__name__} has no handle_call and got {message!r}")

    async def handle_cast(self, message: CastT) -> Outcome:
        """Take a message that nobody waits for."""
        raise NotImplementedError(f"{type(self).__name__} has no handle_cast and got {message!r}")

    async def handle_info(self, message: InfoT) -> Outcome:
        """Take a notice; the default tells an event and goes on (rule G11)."""
        self.tell_unhandled(message)
        return _NO_REPLY

    # -- the kernel's side ---------------------------------------------------------------------

    async def start_up(self, ready: object) -> Halt | None:
        """Run the continuation of ``init``."""
        term = cast("Ready", ready).continue_with
        return None if term is NOTHING else await self._continue(term)

    async def dispatch(self, kind: int, message: object, caller: Caller | None) -> Halt | None:
        """Hand one message to its handler, and do what it says."""
        if self._idle_timer is not None:
            self.ctx.process.cancel(self._idle_timer)
            self._idle_timer = None
        if kind == CALL:
            outcome = await self.handle_call(cast("CallT", message), cast("Caller", caller))
        elif kind == CAST:
            outcome = await self.handle_cast(cast("CastT", message))
        else:
            outcome = await self.handle_info(cast("InfoT", message))
        kind_of_outcome = type(outcome)
        if kind_of_outcome is Reply and caller is not None:
            caller.reply(cast("Reply", outcome).value)
            term = cast("Reply", outcome).continue_with
            return None if term is NOTHING else await self._continue(term)
        if outcome is _NO_REPLY:
            return None
        return await self._apply(outcome, caller)

    async def _continue(self, term: object) -> Halt | None:
        return await self._apply(await self.handle_continue(term), None)

    async def _apply(self, outcome: Outcome, caller: Caller | None) -> Halt | None:
        match outcome:
            case NoReply():
                if outcome.idle_timeout_s is not None:
                    self._idle_timer = self.ctx.process.after(outcome.idle_timeout_s, self._idled)
                term = outcome.continue_with
                return None if term is NOTHING else await self._continue(term)
            case Stop(reason):
                return Halt(reason)
            case StopReply(reason, value) if caller is not None:
                return Halt(reason, ((caller, value),))
            case _:
                raise BadReturn(callback=f"a handler of {type(self).__name__}", value=outcome)

    def _idled(self) -> None:
        self._idle_timer = None
        self.ctx.process.mailbox.post((INFO, IdleTimeout(), None))
