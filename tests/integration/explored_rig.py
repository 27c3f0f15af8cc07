"""What scenarios of a whole tree under many schedules share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import pytest

from actorllama import Model, Runtime
from actorllama.actors import Ref
from actorllama.errors import EngineError
from actorllama.runtime.names import model_name
from actorllama.testing import Strategy, explore
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from tests.inline_tree import open_tree

Scenario: TypeAlias = Callable[[Runtime, Model, FakeBackend], Awaitable[None]]
"""What happens to a loaded model, named ``fake``."""


def run(scenario: Scenario, strategy: Strategy, *, n_seq: int) -> None:
    """Explore a scenario on a loaded model."""

    async def main() -> None:
        backend = FakeBackend(FakeLanguage(end_one_in=0))
        async with open_tree(backend) as rt:
            await scenario(rt, await rt.load("fake", "x.gguf", n_seq=n_seq, ctx_per_seq=32), backend)

    explore(main, strategy=strategy, max_ticks=20_000)


def strategy_fixture(strategies: Mapping[str, Strategy]) -> Callable[[pytest.FixtureRequest], Strategy]:
    """Make the fixture ``strategy`` of a module: one strategy after the other."""

    @pytest.fixture(params=strategies)
    def strategy(request: pytest.FixtureRequest) -> Strategy:
        return strategies[str(request.param)]

    return strategy


def actor_of(rt: Runtime) -> Ref:
    """Find the actor of the model, which is there."""
    ref = rt.system.whereis(model_name("fake"))
    assert ref is not None
    return ref


async def take(model: Model, *expected: type[EngineError], n: int = 3) -> None:
    """Take a turn of ``n`` tokens that may end in one of these errors."""
    try:
        result = await model.complete("hello", max_tokens=n, temperature=0.0)
        assert len(result.tokens) == n
    except expected:
        pass
