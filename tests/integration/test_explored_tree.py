"""Small scenarios of the whole tree, each under many schedules: what examples with threads cannot reach."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from actorllama import Model, Runtime
from actorllama.engine.memory_messages import LeaveMemory
from actorllama.errors import (
    ModelAlreadyLoaded,
    ModelLoadError,
    ModelNotLoaded,
    ModelUnavailable,
    TurnCancelled,
)
from actorllama.testing import Strategy, dfs, explore, pct, random
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from tests.inline_tree import open_tree
from tests.integration.explored_rig import actor_of, run, strategy_fixture, take

pytestmark = pytest.mark.slow

STRATEGIES: dict[str, Strategy] = {
    "random": random(n_runs=80),
    "pct": pct(n_runs=60),
    "dfs": dfs(bound=1, max_runs=150),
}
strategy = strategy_fixture(STRATEGIES)


async def assert_all_free(model: Model) -> None:
    for _ in range(200):
        status = await model.status()
        if (status.n_free_slots, status.n_live, status.n_queued) == (1, 0, 0):
            return
    raise AssertionError(f"a sequence is lost: {await model.status()}")


def test_a_cancel_may_meet_the_end_of_its_turn(strategy: Strategy) -> None:
    async def scenario(_rt: Runtime, model: Model, _backend: FakeBackend) -> None:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def leave() -> None:
                with scope:
                    await take(model)

            nursery.start_soon(leave)
            nursery.start_soon(take, model)
            for _ in range(4):
                await trio.lowlevel.checkpoint()
            scope.cancel()
        await assert_all_free(model)
        await take(model)

    run(scenario, strategy, n_seq=1)


def test_an_unload_may_meet_a_turn_at_any_moment(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model, backend: FakeBackend) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(take, model, ModelUnavailable, TurnCancelled, ModelNotLoaded)
            await rt.unload("fake", grace_s=0)
            assert backend.ledger.n_open("context") == 0

    run(scenario, strategy, n_seq=1)


def test_a_kill_may_come_at_any_moment_and_the_next_turn_works(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model, backend: FakeBackend) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(take, model, ModelUnavailable)
            await trio.lowlevel.checkpoint()
            rt.system.kill(actor_of(rt), why="test")
        await take(model)
        assert backend.faults.n_loads == 2

    run(scenario, strategy, n_seq=1)


def test_two_loads_of_one_name_and_an_unload_do_not_confuse_each_other(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, _model: Model, _backend: FakeBackend) -> None:
        outcomes: list[str] = []

        async def load() -> None:
            try:
                await rt.load("second", "y.gguf", n_seq=1, ctx_per_seq=32)
                outcomes.append("loaded")
            except (ModelAlreadyLoaded, ModelLoadError) as error:
                outcomes.append(type(error).__name__)

        async def unload() -> None:
            try:
                await rt.unload("second")
                outcomes.append("unloaded")
            except ModelNotLoaded:
                outcomes.append("ModelNotLoaded")

        async with trio.open_nursery() as nursery:
            for verb in (load, load, unload):
                nursery.start_soon(verb)
        assert len(outcomes) == 3
        if outcomes.count("loaded") == 1 and "unloaded" not in outcomes:
            await take(rt.model("second"))

    run(scenario, strategy, n_seq=1)


def test_whoever_hears_of_the_end_of_a_model_may_load_another_under_its_name(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, _model: Model, _backend: FakeBackend) -> None:
        ref = actor_of(rt)
        ended = rt.system.monitor(ref)
        assert await ref.call(LeaveMemory(reason="test"))
        await ended.wait()
        again = await rt.load("fake", "x.gguf", n_seq=1, ctx_per_seq=32)
        await take(again)

    run(scenario, strategy, n_seq=1)


def test_a_reader_may_leave_a_stream_at_any_moment(strategy: Strategy) -> None:
    async def scenario(_rt: Runtime, model: Model, _backend: FakeBackend) -> None:
        async def read(n_pieces: int) -> None:
            async with model.stream("hello", max_tokens=6, temperature=0.0, window=2) as turn:
                n = 0
                async for _piece in turn:
                    n += 1
                    if n == n_pieces:
                        break
            assert turn.is_done or n == n_pieces

        async with trio.open_nursery() as nursery:
            for n_pieces in (1, 2, 99):
                nursery.start_soon(read, n_pieces)
        await assert_all_free(model)

    run(scenario, strategy, n_seq=1)


def test_a_runtime_may_close_while_its_models_are_used(strategy: Strategy) -> None:
    async def main() -> None:
        backend = FakeBackend(FakeLanguage(end_one_in=0))
        async with trio.open_nursery() as nursery, open_tree(backend) as rt:
            model = await rt.load("fake", "x.gguf", n_seq=1, ctx_per_seq=32)
            for _ in range(2):
                nursery.start_soon(partial(take, n=9), model, ModelUnavailable, TurnCancelled, ModelNotLoaded)
            await trio.lowlevel.checkpoint()

    explore(main, strategy=strategy, max_ticks=20_000)
