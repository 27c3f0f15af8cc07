"""Servers: what clients see can be explained by a sequential model, under every schedule and fault."""

from __future__ import annotations

import itertools
import math

import trio
from attrs import evolve
from hypothesis import given

from actorllama.actors import Ref, System, open_system
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules
from props.counter import Client, Counter, Get, Put, Request, Step, apply
from props.oracles import Op, is_linearizable
from props.strategies import programs

Program = tuple[tuple[Step, ...], ...]


async def run_clients(ref: Ref, program: Program, clock: itertools.count[int]) -> list[Client]:
    """Let all clients take their steps at once."""
    clients = [Client(number=i, ref=ref, clock=clock) for i in range(len(program))]
    async with trio.open_nursery() as nursery:
        for client, steps in zip(clients, program, strict=True):
            nursery.start_soon(client.take, steps)
    return clients


@given(program=programs(), schedule=schedules())
def prop_histories_of_a_server_are_linearizable(program: Program, schedule: Strategy) -> None:
    """Some order of the messages explains every reply; a call given up happened once or never."""

    async def scenario() -> None:
        clock = itertools.count()
        async with open_system(messages_per_step=1) as system:
            ref = await system.start(Counter, mailbox_capacity=2)
            clients = await run_clients(ref, program, clock)
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

    explore(scenario, strategy=schedule)


@given(program=programs(with_crashes=True), schedule=schedules())
def prop_every_call_ends_and_nothing_is_left(program: Program, schedule: Strategy) -> None:
    """Crashes, timeouts and cancellations: no hang, one ``Down`` per monitor, no name, actor or task left."""
    systems: list[System] = []

    async def scenario() -> None:
        systems.clear()
        n_tasks = trio.lowlevel.current_statistics().tasks_living
        async with open_system(messages_per_step=1) as system:
            systems.append(system)
            ref = await system.start(Counter, name="counter", mailbox_capacity=1)
            monitors = [system.monitor("counter"), system.monitor(ref)]
            clients = await run_clients(ref, program, itertools.count())
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

    explore(scenario, strategy=schedule, invariant=names_are_held_by_the_living)
