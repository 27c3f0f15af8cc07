"""Turns that begin alike, under many schedules: nothing is computed twice, nobody waits for ever."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from actorllama import Config, Model, Runtime, TurnResult
from actorllama.engine import EngineOptions
from actorllama.engine import context_cells as cells_module
from actorllama.errors import EngineError, ModelNotLoaded, ModelUnavailable, TurnCancelled
from actorllama.kvcache import CacheOptions
from actorllama.native import SamplingParams
from actorllama.runtime.names import CACHE_NAME, model_name
from actorllama.testing import Strategy, dfs, explore, pct, random
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.fake_oracle import expected_turn
from tests.inline_tree import open_tree
from tests.integration.explored_rig import Scenario

pytestmark = pytest.mark.slow

STRATEGIES: dict[str, Strategy] = {
    "random": random(n_runs=60),
    "pct": pct(36, n_runs=50),  # a seed that finds who trusts a cache's answer that is too old
    "dfs": dfs(bound=1, max_runs=120),
}
CTX = 64
N_BLOCK = 4
TEXT = "you are a fake, but kind"
SYSTEM = (256, *TEXT.encode())
CONFIG = Config(engine=EngineOptions(n_reuse=4, n_mixed=8), cache=CacheOptions(block_tokens=N_BLOCK))
GONE = (ModelUnavailable, TurnCancelled, ModelNotLoaded)


def run(scenario: Scenario, strategy: Strategy, *, n_seq: int = 2) -> None:
    """Explore a scenario on a loaded model."""

    async def main() -> None:
        backend = FakeBackend(FakeLanguage(end_one_in=0))
        async with open_tree(backend, CONFIG) as rt:
            model = await rt.load("fake", "x.gguf", n_seq=n_seq, ctx_per_seq=CTX, n_batch=8)
            await scenario(rt, model, backend)

    explore(main, strategy=strategy, max_ticks=30_000)


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Strategy:
    """Give one strategy after the other; whether a restore is worth it must not depend on the clock."""
    monkeypatch.setattr(cells_module, "_N_MEASURED", 1 << 60)
    return STRATEGIES[str(request.param)]


def prompt_of(n: int) -> str:
    return f"{TEXT}{n}ab"


async def take(model: Model, prompt: str, *, max_tokens: int = 2) -> TurnResult:
    language = FakeLanguage(end_one_in=0)
    result = await model.complete(prompt, max_tokens=max_tokens, temperature=0.0)
    want = expected_turn(
        language,
        language.tokenize(prompt, add_special=True, parse_special=False),
        SamplingParams(temperature=0.0),
        max_tokens=max_tokens,
        ctx_per_seq=CTX,
    )
    assert result.tokens == want.tokens
    return result


async def try_to_take(model: Model, prompt: str, *errors: type[EngineError]) -> None:
    with suppress(*errors):
        await take(model, prompt)


def n_computed(backend: FakeBackend) -> int:
    """Count the rows of the system prompt that were computed."""
    return sum(
        position < len(SYSTEM) and SYSTEM[position] == token
        for batch in backend.batches
        for token, position in zip(batch.tokens, batch.positions, strict=True)
    )


async def assert_idle(model: Model) -> None:
    for _ in range(300):
        status = await model.status()
        if (status.n_free_slots, status.n_live, status.n_queued) == (status.n_seq, 0, 0):
            return
    raise AssertionError(f"a sequence is lost: {await model.status()}")


@pytest.mark.parametrize("n_seq", [1, 2, 4])
def test_a_new_system_prompt_is_computed_once_however_many_turns_have_it(
    strategy: Strategy, n_seq: int
) -> None:
    async def scenario(_rt: Runtime, model: Model, backend: FakeBackend) -> None:
        results: list[TurnResult] = []

        async def note(n: int) -> None:
            results.append(await take(model, prompt_of(n)))

        async with trio.open_nursery() as nursery:
            for n in range(4):
                nursery.start_soon(note, n)
        assert n_computed(backend) == sum(max(0, len(SYSTEM) - result.usage.n_cached) for result in results)
        # Whoever comes when the first is past it gets its full blocks.
        n_shared = len(SYSTEM) // N_BLOCK * N_BLOCK
        assert sum(result.usage.n_cached < n_shared for result in results) == 1
        await assert_idle(model)

    run(scenario, strategy, n_seq=n_seq)


def test_whoever_leaves_the_others_are_served(strategy: Strategy) -> None:
    async def scenario(_rt: Runtime, model: Model, backend: FakeBackend) -> None:
        scopes = [trio.CancelScope(), trio.CancelScope()]

        async def leave(n: int) -> None:
            with scopes[n == 0]:
                await take(model, prompt_of(n))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave, 0)
            for n in (1, 2):
                nursery.start_soon(take, model, prompt_of(n))
            nursery.start_soon(leave, 3)
            for _ in range(6):
                await trio.lowlevel.checkpoint()
            for scope in scopes:
                scope.cancel()
        await assert_idle(model)
        assert len(SYSTEM) <= n_computed(backend) <= 2 * len(SYSTEM)
        assert (await take(model, prompt_of(4))).usage.n_cached >= len(SYSTEM)

    run(scenario, strategy)


def test_a_step_that_fails_costs_its_turn_and_no_other(strategy: Strategy) -> None:
    async def scenario(_rt: Runtime, model: Model, backend: FakeBackend) -> None:
        backend.faults.fail_decode(1, nth=2)
        outcomes: list[str] = []

        async def attempt(n: int) -> None:
            try:
                await take(model, prompt_of(n))
                outcomes.append("done")
            except EngineError:
                outcomes.append("failed")

        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(attempt, n)
        assert sorted(outcomes) == ["done", "done", "failed"]
        await assert_idle(model)

    run(scenario, strategy)


def test_an_unload_may_meet_leaders_and_followers(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model, backend: FakeBackend) -> None:
        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(try_to_take, model, prompt_of(n), *GONE)
            await trio.lowlevel.checkpoint()
            await rt.unload("fake", grace_s=0)
            assert backend.ledger.n_open("context") == 0

    run(scenario, strategy)


@pytest.mark.parametrize("who", ["model", "cache"])
def test_a_kill_of_the_model_or_of_the_cache_leaves_nobody_waiting(strategy: Strategy, who: str) -> None:
    async def scenario(rt: Runtime, model: Model, _backend: FakeBackend) -> None:
        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(try_to_take, model, prompt_of(n), *GONE)
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            ref = rt.system.whereis(model_name("fake") if who == "model" else CACHE_NAME)
            assert ref is not None
            rt.system.kill(ref, why="test")
        if who == "model":
            await take(model, prompt_of(9))

    run(scenario, strategy)


def test_conversations_go_on_beside_each_other(strategy: Strategy) -> None:
    """Two of them on one sequence take turns: each finds its past in memory."""

    async def scenario(_rt: Runtime, model: Model, _backend: FakeBackend) -> None:
        async def talk(n: int) -> None:
            first = await model.complete(prompt_of(n), max_tokens=3, temperature=0.0, keep=True)
            assert first.resume_key is not None
            rest = await model.resume(first.resume_key, max_tokens=3)
            assert rest.usage.n_cached == rest.usage.n_prompt - 1
            assert rest.exactness == "exact"

        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(talk, n)
        await assert_idle(model)

    run(scenario, strategy, n_seq=1)
