"""A context that is put aside and brought back, under many schedules: no turn is lost, nothing leaks."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from actorllama import Model, Runtime
from actorllama.engine.memory_messages import LeaveMemory, Park, Parked, PressureOver
from actorllama.errors import ActorExited, ModelNotLoaded, ModelUnavailable, TurnCancelled
from actorllama.runtime.names import model_name
from actorllama.testing import Strategy, dfs, pct, random
from actorllama.testing.fake_backend import FakeBackend
from tests.integration.explored_rig import actor_of, run, strategy_fixture, take

pytestmark = pytest.mark.slow

STRATEGIES: dict[str, Strategy] = {
    "random": random(n_runs=60),
    "pct": pct(n_runs=60),
    "dfs": dfs(bound=1, max_runs=120),
}
strategy = strategy_fixture(STRATEGIES)


async def park(rt: Runtime, parked: list[Parked | None]) -> None:
    ref = rt.system.whereis(model_name("fake"))
    try:
        parked.append(None if ref is None else await ref.call(Park()))
    except ActorExited:
        parked.append(None)


def test_a_turn_may_come_at_any_moment_of_parking(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model, backend: FakeBackend) -> None:
        parked: list[Parked | None] = []
        await take(model)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(park, rt, parked)
            nursery.start_soon(take, model)
            nursery.start_soon(park, rt, parked)
            nursery.start_soon(take, model)
        await take(model)
        assert len(parked) == 2
        assert backend.ledger.n_opened("context") == 1 + sum(outcome is not None for outcome in parked)

    run(scenario, strategy, n_seq=2)


def test_an_unload_may_meet_parking_and_coming_back(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model, backend: FakeBackend) -> None:
        parked: list[Parked | None] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(park, rt, parked)
            nursery.start_soon(take, model, ModelUnavailable, TurnCancelled, ModelNotLoaded)
            await trio.lowlevel.checkpoint()
            await rt.unload("fake", grace_s=0)
            assert backend.ledger.n_open("context") == backend.ledger.n_open("model") == 0

    run(scenario, strategy, n_seq=2)


def test_a_kill_may_come_while_a_context_is_put_aside(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model, backend: FakeBackend) -> None:
        parked: list[Parked | None] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(park, rt, parked)
            nursery.start_soon(take, model, ModelUnavailable)
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            rt.system.kill(actor_of(rt), why="test")
        await take(model)
        assert backend.faults.n_loads == 2

    run(scenario, strategy, n_seq=2)


def test_a_model_that_is_to_leave_finishes_its_turn_or_says_why_it_takes_none(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model, _backend: FakeBackend) -> None:
        async def leave() -> None:
            with suppress(ActorExited):
                await actor_of(rt).call(LeaveMemory(reason="memory pressure"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, model, ModelUnavailable, ModelNotLoaded)
            nursery.start_soon(leave)

    run(scenario, strategy, n_seq=2)


def test_relief_may_come_at_any_moment(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model, _backend: FakeBackend) -> None:
        parked: list[Parked | None] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(park, rt, parked)
            nursery.start_soon(take, model)
            actor_of(rt).info_nowait(PressureOver())
        assert (await model.status()).n_seq == 2

    run(scenario, strategy, n_seq=2)
