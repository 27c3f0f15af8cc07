"""What routers read is true under every schedule: turns that come, wait, leave; kills; unloads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from actorllama import Model, Runtime
from actorllama.errors import ActorLlamaError, ModelUnavailable
from actorllama.runtime.names import model_name
from actorllama.testing import Strategy, dfs, explore, pct, random
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from tests.inline_tree import open_tree
from tests.integration.explored_rig import strategy_fixture

pytestmark = pytest.mark.slow

STRATEGIES: dict[str, Strategy] = {
    "random": random(n_runs=60),
    "pct": pct(n_runs=40),
    "dfs": dfs(bound=1, max_runs=100),
}


def run(scenario: Callable[[Runtime, Model], Awaitable[None]], strategy: Strategy) -> None:
    """Explore a scenario, and look at the gauges between any two steps."""
    opened: list[Runtime] = []

    async def main() -> None:
        opened.clear()
        backend = FakeBackend(FakeLanguage(end_one_in=0))
        async with open_tree(backend) as rt:
            opened.append(rt)
            await scenario(rt, await rt.load("fake", "x.gguf", n_seq=1, ctx_per_seq=32))

    def look() -> None:
        for rt in opened:
            for shown in rt.gauges():
                counts = shown.counts
                is_there = rt.system.whereis(model_name(shown.model)) is not None
                assert is_there or (shown.phase, shown.n_live, shown.n_free_slots) == ("down", 0, 0)
                if shown.phase in ("ready", "draining"):
                    gone = counts.n_ended + counts.n_cancelled + counts.n_failed
                    assert counts.n_taken == shown.n_queued + shown.n_live + gone
                    assert shown.n_live + shown.n_free_slots == shown.n_seq

    explore(main, strategy=strategy, invariant=look, max_ticks=20_000)


strategy = strategy_fixture(STRATEGIES)


async def take(model: Model) -> None:
    """Take a turn that may end in any typed error."""
    with suppress(ActorLlamaError):
        await model.complete("hello", max_tokens=3, temperature=0.0)


def test_whatever_comes_and_goes_the_gauges_add_up(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model) -> None:
        async with trio.open_nursery() as nursery:
            leaving = trio.CancelScope()

            async def leave() -> None:
                with leaving:
                    await take(model)

            nursery.start_soon(leave)
            nursery.start_soon(take, model)
            nursery.start_soon(take, model)
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            leaving.cancel()
        assert model.gauges.counts.n_taken <= 3
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, model)
            await rt.unload("fake", grace_s=0)
        assert (model.gauges.phase, rt.gauges()) == ("down", ())

    run(scenario, strategy)


def test_a_kill_may_come_at_any_moment(strategy: Strategy) -> None:
    async def scenario(rt: Runtime, model: Model) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, model)
            nursery.start_soon(take, model)
            await trio.lowlevel.checkpoint()
            ref = rt.system.whereis(model_name("fake"))
            if ref is not None:
                rt.system.kill(ref, why="test")
        for _ in range(100):
            try:
                await model.complete("hello", max_tokens=3, temperature=0.0)
                break
            except ModelUnavailable:
                continue
        assert (model.gauges.phase, model.gauges.n_starts) == ("ready", 2)

    run(scenario, strategy)
