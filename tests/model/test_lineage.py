"""Rows of a reply are never given to a prompt that holds the same tokens, nor the other way round."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from actorllama import Config, TurnResult, open_runtime
from actorllama.engine import EngineOptions
from actorllama.kvcache import CacheOptions
from actorllama.runtime import LoadOptions, Model, SamplingOptions
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_shapes import SHAPES, WeightType

N_FIRST, N_WHOLE = 40, 50
SHARING = Config(engine=EngineOptions(n_reuse=8), cache=CacheOptions(block_tokens=16, prefetch_bytes=0))
ALONE = Config(engine=EngineOptions(prefix_cache=False))
LOAD: LoadOptions = {"n_seq": 2, "ctx_per_seq": 256, "n_threads": 1}


def prompt_of(number: int) -> list[int]:
    return [3 + (7 * index + number) % 300 for index in range(30)]


def chain(model: Model) -> SamplingOptions:
    return {
        "temperature": 0.9,
        "seed": 5,
        "logprobs": 1,
        "logit_bias": dict.fromkeys(model.end_tokens, -100.0),
    }


async def whole_turn(path: Path, prompt: list[int]) -> TurnResult:
    async with open_runtime(ALONE) as rt:
        model = await rt.load("model", path, **LOAD)
        return await model.complete(prompt, max_tokens=N_WHOLE, **chain(model))


async def take_all_sequences(model: Model) -> None:
    for number in (100, 200):
        await model.complete(prompt_of(number), max_tokens=2)


@pytest.mark.parametrize("weights", ["F32", "Q8_0"])
@pytest.mark.parametrize("is_kept", [False, True])
async def test_a_turn_resumed_after_its_text_was_a_prompt_has_rows_of_its_own(
    tmp_path: Path, weights: WeightType, *, is_kept: bool
) -> None:
    path = write_random_model(tmp_path / "m.gguf", evolve(SHAPES["llama"], weights=weights), seed=1)
    prompt = prompt_of(1)
    whole = await whole_turn(path, prompt)
    async with open_runtime(SHARING, state_dir=tmp_path / "state") as rt:
        model = await rt.load("model", path, **LOAD)
        told = [*prompt, *whole.tokens[:N_FIRST], 9, 9, 9]
        await model.complete(told, max_tokens=4, keep=is_kept)
        first = await model.complete(prompt, max_tokens=N_FIRST, keep=True, **chain(model))
        assert first.tokens == whole.tokens[:N_FIRST]
        await take_all_sequences(model)
    assert first.resume_key is not None
    async with open_runtime(SHARING, state_dir=tmp_path / "state") as rt:
        model = await rt.load("model", path, **LOAD)
        rest = await model.resume(first.resume_key, max_tokens=N_WHOLE - N_FIRST)
    assert (rest.exactness, rest.usage.source) == ("exact", "disk")
    assert (*first.tokens, *rest.tokens) == whole.tokens
    assert (*(first.logprobs or ()), *(rest.logprobs or ())) == whole.logprobs


async def test_a_prompt_that_holds_a_reply_is_what_it_is_alone(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "m.gguf", evolve(SHAPES["llama"], weights="F32"), seed=1)
    prompt = prompt_of(1)
    async with open_runtime(SHARING) as rt:
        model = await rt.load("model", path, **LOAD)
        first = await model.complete(prompt, max_tokens=N_FIRST, keep=True, **chain(model))
        told = [*prompt, *first.tokens, 9, 9, 9]
        again = await model.complete(told, max_tokens=8, **chain(model))
    async with open_runtime(ALONE) as rt:
        model = await rt.load("model", path, **LOAD)
        alone = await model.complete(told, max_tokens=8, **chain(model))
    assert 8 <= again.usage.n_cached <= len(prompt)
    assert (again.exactness, again.tokens, again.logprobs) == ("exact", alone.tokens, alone.logprobs)
