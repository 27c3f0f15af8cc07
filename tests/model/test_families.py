"""Each kind of memory keeps the promise of ``resume``: dense, sliding window, recurrent, hybrid, quantised.

The models are tiny and random: what they say is noise, but each memory is the real one of llama.cpp, and a
state that lost one row changes the noise.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import frozen

from actorllama import Config
from actorllama.engine import EngineOptions
from actorllama.errors import SnapshotMismatch
from actorllama.runtime import Model, SamplingOptions, open_runtime
from actorllama.testing.random_models import write_random_model

pytestmark = pytest.mark.model

N_TOKENS = 24
CUTS = (1, 2, 13, 23)
# Longer than gemma3's window of 32, so that a saved window has rows before it that are gone.
PROMPT = tuple(20 + 7 * index % 200 for index in range(70))
OTHER_PROMPT = PROMPT[::-1]
CHAIN: SamplingOptions = {
    "temperature": 0.8,
    "seed": 5,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "repeat_penalty": 1.2,
    "frequency_penalty": 0.2,
    "presence_penalty": 0.1,
    "penalty_last_n": 32,
}


@frozen(kw_only=True)
class Case:
    """One kind of memory: a shape of model, and how its context is made."""

    family: str
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attention: bool = False
    layout: str = "isolated"

    def __str__(self) -> str:
        flash = "-flash" if self.flash_attention else ""
        return f"{self.family}-{self.type_k}-{self.type_v}{flash}-{self.layout}"


FAMILIES = ("llama", "qwen2", "qwen3", "gemma3", "mamba", "jamba", "lfm2", "falcon-h1", "granitehybrid")
CASES = (
    *(Case(family=family) for family in FAMILIES),
    *(Case(family=family, type_k="q8_0") for family in ("qwen3", "gemma3")),
    *(
        Case(family=family, type_k="q8_0", type_v="q8_0", flash_attention=True)
        for family in ("qwen3", "gemma3")
    ),
    Case(family="qwen3", flash_attention=True),
    *(Case(family=family, layout="shared") for family in ("qwen3", "gemma3", "mamba", "jamba")),
)
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write one file for each family."""
    root = tmp_path_factory.mktemp("families")
    return {family: write_random_model(root / f"{family}.gguf", family, seed=3) for family in FAMILIES}


@asynccontextmanager
async def open_case(
    case: Case, models: dict[str, Path], *, state_dir: Path | None = None
) -> AsyncGenerator[Model]:
    # With fused attention a prompt that begins with another turn's cells is only faithful to itself.
    config = Config(engine=EngineOptions(prefix_cache=False))
    async with open_runtime(config, state_dir=state_dir) as rt:
        yield await rt.load(
            "tiny",
            models[case.family],
            n_seq=3,
            ctx_per_seq=256,
            n_threads=1,
            layout=case.layout,
            flash_attention=case.flash_attention,
            type_k=case.type_k,
            type_v=case.type_v,
        )


def sampling_of(model: Model) -> SamplingOptions:
    """Give the chain, without the tokens that would end a turn of noise at any moment."""
    return {**CHAIN, "logit_bias": dict.fromkeys(model.end_tokens, -100.0)}


async def take_whole(model: Model) -> tuple[int, ...]:
    result = await model.complete(PROMPT, max_tokens=N_TOKENS, **sampling_of(model))
    assert len(result.tokens) == N_TOKENS
    return result.tokens


async def take_first(model: Model, n_first: int) -> tuple[tuple[int, ...], str]:
    """Take the turn as far as the cut, and keep it."""
    result = await model.complete(PROMPT, max_tokens=n_first, keep=True, **sampling_of(model))
    assert result.resume_key is not None
    return result.tokens, result.resume_key


@each_case
async def test_a_turn_cut_anywhere_goes_on_exactly(case: Case, models: dict[str, Path]) -> None:
    async with open_case(case, models) as model:
        whole = await take_whole(model)
        for n_first in CUTS:
            first, key = await take_first(model, n_first)
            rest = await model.resume(key, max_tokens=N_TOKENS - n_first)
            assert first + rest.tokens == whole, n_first
            assert rest.usage.n_cached == rest.usage.n_prompt - 1


@each_case
async def test_a_turn_cut_again_and_again_goes_on_exactly(case: Case, models: dict[str, Path]) -> None:
    async with open_case(case, models) as model:
        whole = await take_whole(model)
        tokens, key = await take_first(model, 3)
        while len(tokens) < N_TOKENS:
            part = await model.resume(key, max_tokens=min(5, N_TOKENS - len(tokens)))
            assert part.resume_key is not None
            tokens, key = tokens + part.tokens, part.resume_key
        assert tokens == whole


@each_case
async def test_it_goes_on_exactly_while_another_turn_holds_its_old_sequence(
    case: Case, models: dict[str, Path]
) -> None:
    async with open_case(case, models) as model:
        whole = await take_whole(model)
        first, key = await take_first(model, 9)
        # With a window of two the neighbour stands still as soon as it has begun: it only takes a place.
        async with model.stream(OTHER_PROMPT, window=2, **sampling_of(model)) as neighbour:
            await anext(aiter(neighbour))
            while (await model.status()).n_free_slots == 3:
                await trio.lowlevel.checkpoint()
            rest = await model.resume(key, max_tokens=N_TOKENS - 9)
    assert first + rest.tokens == whole


@each_case
async def test_it_goes_on_exactly_in_another_runtime(
    case: Case, models: dict[str, Path], tmp_path: Path
) -> None:
    async with open_case(case, models, state_dir=tmp_path) as model:
        whole = await take_whole(model)
        kept = [await take_first(model, n_first) for n_first in CUTS]
    async with open_case(case, models, state_dir=tmp_path) as model:
        for first, key in kept:
            rest = await model.resume(key, max_tokens=N_TOKENS - len(first))
            assert first + rest.tokens == whole, len(first)


@pytest.mark.parametrize("family", FAMILIES)
async def test_the_tokens_depend_on_the_prompt_and_the_seed(family: str, models: dict[str, Path]) -> None:
    """Otherwise the laws above would hold for a model that says the same whatever it remembers."""
    async with open_case(Case(family=family), models) as model:
        options = sampling_of(model)
        whole = await take_whole(model)
        # One token further back than gemma3's window, and so only in the layers that see everything.
        changed = (PROMPT[0], PROMPT[1] + 1, *PROMPT[2:])
        assert (await model.complete(changed, max_tokens=N_TOKENS, **options)).tokens != whole
        options["seed"] = 6
        assert (await model.complete(PROMPT, max_tokens=N_TOKENS, **options)).tokens != whole
        assert len(set(whole)) > N_TOKENS // 2


@pytest.mark.parametrize(
    "other",
    [
        Case(family="qwen3", type_k="q8_0"),
        Case(family="qwen3", flash_attention=True),
        Case(family="qwen3", layout="shared"),
        Case(family="qwen2"),
        Case(family="mamba"),
    ],
    ids=str,
)
async def test_a_turn_kept_in_one_memory_is_refused_by_another(
    other: Case, models: dict[str, Path], tmp_path: Path
) -> None:
    async with open_case(Case(family="qwen3"), models, state_dir=tmp_path) as model:
        _, key = await take_first(model, 3)
    async with open_case(other, models, state_dir=tmp_path) as model:
        with pytest.raises(SnapshotMismatch):
            await model.resume(key)
