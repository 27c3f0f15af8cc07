"""Sixty-four turns on eight sequences, and all that callers do: typed outcomes, no slot lost, a free loop."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from attrs import define, field

from actorllama import Config, Model, open_runtime
from actorllama.demo import model_path
from actorllama.engine import EngineOptions, ModelStatus
from actorllama.errors import ActorLlamaError
from actorllama.native import Backend
from actorllama.native.llama import LlamaBackend
from actorllama.native.rng import uniform
from actorllama.testing import guard_loop
from actorllama.testing.fake_backend import FakeBackend

STORIES = Path(__file__).parents[2].parent / "shared/models/stories260K.gguf"
N_TURNS = 64
N_SEQ = 8
STOPS = ("the", "a big", " was", "\n", ".")


@define
class Soak:
    """The callers of one soak, seeded, and what became of each."""

    model: Model
    seed: int
    outcomes: dict[int, str] = field(factory=dict[int, str])

    async def run(self) -> None:
        """Start all turns at once; eight run, the others queue."""
        async with trio.open_nursery() as nursery:
            for number in range(N_TURNS):
                nursery.start_soon(self.caller, number)

    async def caller(self, number: int) -> None:
        """Take one turn in the manner that its number has drawn."""
        with trio.CancelScope() as scope:
            if self.draw(number, 0) < 1 / 3:
                scope.deadline = trio.current_time() + self.draw(number, 1) * 0.4
            try:
                self.outcomes[number] = await self.take(number)
            except ActorLlamaError as error:
                self.outcomes[number] = type(error).__name__
        if scope.cancelled_caught:
            self.outcomes[number] = "left"

    async def take(self, number: int) -> str:
        """Complete, stream, or stream and stop reading."""
        kind = int(self.draw(number, 2) * 3)
        stop: Sequence[str] = STOPS[: 1 + number % len(STOPS)] if self.draw(number, 3) < 0.4 else ()
        prompt = "Once upon a time, there was a little girl named Lily. "[: 4 + number % 50]
        if kind == 0:
            result = await self.model.complete(prompt, max_tokens=60, stop=stop, seed=number)
            return result.finish_reason
        async with self.model.stream(prompt, max_tokens=60, stop=stop, seed=number, window=4) as turn:
            async for _piece in turn:
                if kind == 2:
                    await trio.sleep(self.draw(number, 4) * 0.2)  # a reader that does other things
                    break
        return turn.result.finish_reason if turn.is_done else "stopped reading"

    def draw(self, number: int, what: int) -> float:
        """Draw a number that depends on the seed, the caller and the question."""
        return uniform(self.seed, number, stream=what)


async def soak(backend: Backend, path: Path, seed: int) -> tuple[Soak, ModelStatus]:
    """Run one soak under the loop guard, and wait until the last sequence is free."""
    config = Config(engine=EngineOptions(queue_capacity=N_TURNS))
    async with open_runtime(config, backend=backend) as rt:
        model = await rt.load("soak", path, n_seq=N_SEQ, ctx_per_seq=256)
        callers = Soak(model, seed)
        gc.collect()
        gc.freeze()  # what earlier tests have left in memory is not to be collected on our loop
        with guard_loop():
            await callers.run()
            with trio.fail_after(60):
                while (status := await model.status()).n_free_slots < N_SEQ or status.n_live:
                    await trio.lowlevel.checkpoint()
        result = await model.complete("Once", max_tokens=4)
        assert result.tokens, "the next turn works"
        return callers, status


def check(callers: Soak, status: ModelStatus) -> None:
    known = {"left", "stopped reading", "length", "stop", "end", "context"}
    assert sorted(callers.outcomes) == list(range(N_TURNS)), "every caller has an outcome"
    assert set(callers.outcomes.values()) <= known
    counted = Counter(callers.outcomes.values())
    assert counted["left"] >= N_TURNS // 8
    assert counted["stopped reading"] > 0
    assert counted["stop"] > 0
    assert (status.n_free_slots, status.n_live, status.n_queued) == (N_SEQ, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_a_soak_on_the_fake_loses_nothing(fake_backend: FakeBackend, seed: int) -> None:
    callers, status = await soak(fake_backend, Path("fake.gguf"), seed)
    assert sorted(callers.outcomes) == list(range(N_TURNS))
    assert (status.n_free_slots, status.n_live) == (N_SEQ, 0)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(not STORIES.exists(), reason="../shared/models/stories260K.gguf is not there")
async def test_a_soak_on_the_storyteller_loses_nothing() -> None:
    check(*await soak(LlamaBackend(), STORIES, 1))


@pytest.mark.slow
@pytest.mark.model
async def test_a_soak_on_the_demo_model_loses_nothing() -> None:
    callers, status = await soak(LlamaBackend(), model_path(), 2)
    assert sorted(callers.outcomes) == list(range(N_TURNS))
    assert (status.n_free_slots, status.n_live) == (N_SEQ, 0)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("n_models", [2, 3])
async def test_models_that_share_the_host_lose_nothing(n_models: int) -> None:
    """Each says what it says alone, and no model waits until another is done."""
    async with open_runtime() as rt:
        models = [
            await rt.load(f"demo{index}", model_path(), n_seq=2, ctx_per_seq=256) for index in range(n_models)
        ]
        alone = await models[0].complete("Once upon a time", max_tokens=40, temperature=0.0)
        ended: list[tuple[str, tuple[int, ...]]] = []

        async def take(model: Model) -> None:
            result = await model.complete("Once upon a time", max_tokens=40, temperature=0.0)
            ended.append((model.name, result.tokens))

        gc.collect()
        gc.freeze()
        with guard_loop():
            async with trio.open_nursery() as nursery:
                for model in models:
                    nursery.start_soon(take, model)
                    nursery.start_soon(take, model)
        assert [tokens for _, tokens in ended] == [alone.tokens] * (2 * n_models)
        for model in models:
            status = await model.status()
            assert status.n_free_slots == 2
