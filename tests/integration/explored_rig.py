"""A whole tree without threads, for the explorer: its host steps in a task, jobs run where they are given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
import trio

from actorllama import Config, Model, Runtime, open_runtime
from actorllama.actors import Ref
from actorllama.errors import EngineError
from actorllama.runtime.names import model_name
from actorllama.testing import Strategy, explore
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.inline_host import InlineHost, run_inline

Scenario: TypeAlias = Callable[[Runtime, Model, FakeBackend], Awaitable[None]]
"""What happens to a loaded model, named ``fake``."""


@asynccontextmanager
async def open_tree(backend: FakeBackend, config: Config | None = None) -> AsyncGenerator[Runtime, None]:
    """Open a runtime whose host steps in a task, and insist that it gives everything back."""
    async with (
        trio.open_nursery() as nursery,
        open_runtime(config, backend=backend, make_host=lambda: InlineHost(nursery), runner=run_inline) as rt,
    ):
        yield rt
    backend.ledger.check()


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
