"""A small server whose pure model is one line per message, and clients that write down what they saw."""

from __future__ import annotations

import itertools
import math
from typing import TypeAlias, assert_never

import trio
from attrs import define, evolve, field, frozen

from actorllama.actors import Call, Caller, Context, InitOutcome, NoReply, Outcome, Ready, Ref, Reply, Server
from actorllama.actors.introspection import resume, statistics, suspend
from actorllama.errors import ActorExited, CallTimeout, MailboxFull
from props.oracles import Op

__all__ = [
    "Add",
    "AddLate",
    "AddSlowly",
    "Boom",
    "CancelledCall",
    "Client",
    "Counter",
    "Get",
    "Put",
    "Request",
    "Step",
    "Suspension",
    "TimedCall",
    "Wait",
    "apply",
]


@frozen
class Add(Call[int]):
    """Add and tell the sum."""

    n: int


@frozen
class Get(Call[int]):
    """Tell the sum."""


@frozen
class AddSlowly(Call[int]):
    """Add in two halves with a sleep between: no other message may come in between."""

    n: int
    seconds: float


@frozen
class AddLate(Call[int]):
    """Add at once, reply later, while other messages are served."""

    n: int
    seconds: float


@frozen
class Boom(Call[int]):
    """Raise."""


@frozen
class Put:
    """Set, without a reply."""

    n: int


@frozen
class LateReply:
    caller: Caller
    value: int


Calls: TypeAlias = Add | Get | AddSlowly | AddLate | Boom
Request: TypeAlias = Calls | Put


def apply(state: int, request: Request) -> tuple[int, object]:
    """Say what the server should do."""
    match request:
        case Add(n) | AddSlowly(n, _) | AddLate(n, _):
            return state + n, state + n
        case Get():
            return state, state
        case Put(n):
            return n, None
        case Boom():
            return state, None
        case _:
            assert_never(request)


class Counter(Server[Calls, Put, LateReply]):
    """The server under test."""

    async def init(self, ctx: Context) -> InitOutcome:
        self.state = 0
        self.context = ctx
        return Ready()

    async def handle_call(self, message: Calls, caller: Caller) -> Outcome:
        match message:
            case Add(n):
                return Reply(await self._add(n))
            case Get():
                return Reply(self.state)
            case AddSlowly(n, seconds):
                return Reply(await self._add(n, seconds=seconds))
            case AddLate(n, seconds):
                self.context.send_after(seconds, LateReply(caller, await self._add(n)))
                return NoReply()
            case Boom():
                raise ZeroDivisionError("boom")
            case _:
                assert_never(message)

    async def handle_cast(self, message: Put) -> Outcome:
        await trio.lowlevel.checkpoint()
        self.state = message.n
        return NoReply()

    async def handle_info(self, message: LateReply) -> Outcome:
        message.caller.reply(message.value)
        return NoReply()

    async def _add(self, n: int, *, seconds: float = 0) -> int:
        seen = self.state
        await trio.sleep(seconds)
        self.state = seen + n
        return self.state


@frozen
class TimedCall:
    """Call with a deadline."""

    request: Calls
    timeout_s: float


@frozen
class CancelledCall:
    """Call, and be cancelled by the clock."""

    request: Calls
    after_s: float


@frozen
class Wait:
    """Let time pass."""

    seconds: float


@frozen
class Suspension:
    """Suspend the server for a while and look at it: it must take no message meanwhile."""

    seconds: float


Step: TypeAlias = TimedCall | CancelledCall | Put | Wait | Suspension


@define(kw_only=True)
class Client:
    """Takes its steps one after the other and remembers what it saw.

    ``is_time_exact`` says that time stands still while tasks are runnable, so that deadlines are kept to the
    moment; otherwise tasks may be slow and late.
    """

    number: int
    ref: Ref
    clock: itertools.count[int]
    operator: trio.Lock
    is_time_exact: bool
    history: list[Op[Request]] = field(factory=list[Op[Request]])
    n_exited: int = 0

    async def take(self, steps: tuple[Step, ...]) -> None:
        """Take all steps; every call ends in a value or a typed error."""
        for step in steps:
            match step:
                case TimedCall(request, timeout_s):
                    await self._call(request, timeout_s)
                case CancelledCall(request, after_s):
                    with trio.move_on_after(after_s):
                        await self._call(request, math.inf)
                case Put():
                    await self._cast(step)
                case Wait(seconds):
                    await trio.sleep(seconds)
                case Suspension(seconds):
                    async with self.operator:
                        await self._suspend(seconds)
                case _:
                    assert_never(step)

    async def _suspend(self, seconds: float) -> None:
        try:
            await suspend(self.ref, timeout_s=math.inf)
            before = await statistics(self.ref, timeout_s=math.inf)
            await trio.sleep(seconds)
            after = await statistics(self.ref, timeout_s=math.inf)
            assert after.n_in == before.n_in
            await resume(self.ref, timeout_s=math.inf)
        except ActorExited:
            assert not self.ref.is_alive

    async def _call(self, request: Calls, timeout_s: float) -> None:
        op = Op[Request](client=self.number, request=request, invoked_at=next(self.clock), is_certain=False)
        self.history.append(op)
        began_s = trio.current_time()
        try:
            response = await self.ref.call(request, timeout_s=timeout_s)
        except CallTimeout:
            now_s, due_s = trio.current_time(), began_s + timeout_s
            assert now_s == due_s or (now_s > due_s and not self.is_time_exact)
        except ActorExited:
            assert not self.ref.is_alive
            self.n_exited += 1
        else:
            assert trio.current_time() <= began_s + timeout_s or not self.is_time_exact
            self.history[-1] = evolve(op, response=response, returned_at=next(self.clock), is_certain=True)

    async def _cast(self, request: Put) -> None:
        was_alive = self.ref.is_alive
        op = Op[Request](
            client=self.number, request=request, invoked_at=next(self.clock), is_certain=was_alive
        )
        try:
            await self.ref.cast(request)
        except MailboxFull:
            return
        self.history.append(op)
