"""Servers: what clients see can be explained by a sequential model, under every schedule and fault."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress

import pytest
import trio
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actorllama.actors import (
    Call,
    Caller,
    Context,
    InitOutcome,
    NoReply,
    Outcome,
    Ready,
    Ref,
    Server,
    System,
    open_system,
)
from actorllama.actors.mailbox import Overflow
from actorllama.errors import CallingSelf, MailboxFull
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules
from props.counter import Client, Counter, Get, Put, Request, Step, apply
from props.oracles import Op, is_linearizable
from props.strategies import programs

OVERFLOWS: tuple[Overflow, ...] = ("refuse", "drop_new", "drop_old")
Program = tuple[tuple[Step, ...], ...]


async def run_clients(
    ref: Ref, program: Program, clock: itertools.count[int], *, is_time_exact: bool
) -> list[Client]:
    """Let all clients take their steps at once."""
    operator = trio.Lock()
    clients = [
        Client(number=i, ref=ref, clock=clock, operator=operator, is_time_exact=is_time_exact)
        for i in range(len(program))
    ]
    async with trio.open_nursery() as nursery:
        for client, steps in zip(clients, program, strict=True):
            nursery.start_soon(client.take, steps)
    return clients


@given(program=programs(), schedule=schedules(), is_slow=st.booleans())
def prop_histories_of_a_server_are_linearizable(program: Program, schedule: Strategy, is_slow: bool) -> None:
    """Some order of the messages explains every reply; a call given up happened once or never."""

    async def scenario() -> None:
        clock = itertools.count()
        async with open_system(messages_per_step=1) as system:
            ref = await system.start(Counter, mailbox_capacity=2)
            clients = await run_clients(ref, program, clock, is_time_exact=not is_slow)
            asked_at = next(clock)
            last = Op[Request](
                client=-1,
                request=Get(),
                response=await ref.call(Get(), timeout_s=math.inf),
                invoked_at=asked_at,
                returned_at=next(clock),
            )
        ops = [op for client in clients for op in client.history]
        # a cast that returned is in the mailbox, and the last question came after it
        ops = [evolve(op, returned_at=asked_at) if isinstance(op.request, Put) else op for op in ops]
        assert is_linearizable([*ops, last], initial=0, apply=apply, casts=frozenset({Put})), ops

    explore(scenario, strategy=schedule, lets_time_pass=is_slow)


@given(program=programs(with_crashes=True), schedule=schedules(), is_slow=st.booleans())
def prop_every_call_ends_and_nothing_is_left(program: Program, schedule: Strategy, is_slow: bool) -> None:
    """Crashes, timeouts and cancellations: no hang, one ``Down`` per monitor, no name, actor or task left."""
    systems: list[System] = []

    async def scenario() -> None:
        systems.clear()
        n_tasks = trio.lowlevel.current_statistics().tasks_living
        async with open_system(messages_per_step=1) as system:
            systems.append(system)
            ref = await system.start(Counter, name="counter", mailbox_capacity=1)
            monitors = [system.monitor("counter"), system.monitor(ref)]
            clients = await run_clients(ref, program, itertools.count(), is_time_exact=not is_slow)
        assert [monitor.down is not None for monitor in monitors] == [True, True]
        assert {monitor.down.reason for monitor in monitors if monitor.down} == {ref.exit_reason}
        assert not ref.is_alive
        assert system.refs() == ()
        assert len(system.names) == 0
        assert all(client.n_exited == 0 or type(ref.exit_reason).__name__ == "Crash" for client in clients)
        assert trio.lowlevel.current_statistics().tasks_living == n_tasks

    def names_are_held_by_the_living() -> None:
        for system in systems:
            holder = system.whereis("counter")
            assert holder is None or holder.is_alive
            assert all(ref.is_alive for ref in system.refs())

    explore(scenario, strategy=schedule, invariant=names_are_held_by_the_living, lets_time_pass=is_slow)


@frozen
class Sum(Call[int]):
    """Count down to zero by messages to oneself, then tell how many there were."""

    n: int


class Countdown(Server[Sum, int, object]):
    """Casts to itself; its mailbox is as small as can be and others fill it."""

    async def init(self, ctx: Context) -> InitOutcome:
        self.context = ctx
        self.n_casts = 0
        self.callers: list[Caller] = []
        return Ready()

    async def handle_call(self, message: Sum, caller: Caller) -> Outcome:
        with pytest.raises(CallingSelf):
            await self.context.ref.call(Sum(1))
        self.callers.append(caller)
        await self.context.ref.cast(message.n)
        self.context.ref.cast_nowait(0)
        return NoReply()

    async def handle_cast(self, message: int) -> Outcome:
        self.n_casts += 1
        if message > 0:
            await self.context.ref.cast(message - 1)
        elif message == 0 and self.callers:
            caller = self.callers.pop()
            caller.reply(self.n_casts)
            caller.reply("a second reply reaches nobody")
        return NoReply()


@given(n=st.integers(0, 5), n_clients=st.integers(1, 3), capacity=st.integers(1, 2), schedule=schedules())
def prop_an_actor_may_always_send_to_itself(
    n: int, n_clients: int, capacity: int, schedule: Strategy
) -> None:
    """Its own casts never wait for room, a call to itself is refused, a second reply is dropped."""

    async def scenario() -> None:
        async with open_system(messages_per_step=1) as system:
            ref = await system.start(Countdown, mailbox_capacity=capacity)
            async with trio.open_nursery() as nursery:
                for _ in range(n_clients):
                    nursery.start_soon(ask, ref)
            assert ref.is_alive

    async def ask(ref: Ref) -> None:
        assert isinstance(await ref.call(Sum(n), timeout_s=math.inf), int)
        with suppress(MailboxFull):
            ref.cast_nowait(-1)

    explore(scenario, strategy=schedule)


@given(
    capacity=st.integers(1, 3), overflow=st.sampled_from(OVERFLOWS), n=st.integers(0, 8), schedule=schedules()
)
def prop_a_full_mailbox_does_what_its_policy_says(
    capacity: int, overflow: Overflow, n: int, schedule: Strategy
) -> None:
    """Refuse, lose the new or lose the old; never more than the capacity, and what stays is in order."""

    async def scenario() -> None:
        seen: list[int] = []

        class Busy(Server[object, int, object]):
            async def handle_cast(self, message: int) -> Outcome:
                if message == 0:
                    await trio.sleep(1)
                seen.append(message)
                return NoReply()

        async with open_system() as system:
            ref = await system.start(Busy, mailbox_capacity=capacity, overflow=overflow)
            await ref.cast(0)
            await wait_all_tasks_blocked()
            n_refused = 0
            for number in range(1, n + 1):
                try:
                    ref.cast_nowait(number)
                except MailboxFull:
                    n_refused += 1
            await trio.sleep(2)
        kept = min(n, capacity)
        assert n_refused == (n - kept if overflow == "refuse" else 0)
        oldest = n - kept + 1 if overflow == "drop_old" else 1
        assert seen == [0, *range(oldest, oldest + kept)]

    explore(scenario, strategy=schedule)
