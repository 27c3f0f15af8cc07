"""On every kind of memory a reused beginning brings what a cold run brings, wherever that is promised.

Compared are tokens and log-probabilities, bit by bit, of every turn that says ``exact``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import frozen

from actorllama import Config, Model, TurnResult, open_runtime
from actorllama.engine import EngineOptions
from actorllama.kvcache import CacheOptions
from actorllama.runtime import SamplingOptions
from actorllama.testing.random_models import write_random_model

pytestmark = pytest.mark.model

CTX = 640
GREEDY: SamplingOptions = {"temperature": 0.0, "logprobs": 1}
SEEDED: SamplingOptions = {"temperature": 0.9, "seed": 4, "top_k": 0, "repeat_penalty": 1.2, "logprobs": 1}
PROMPT = tuple(20 + 7 * index % 200 for index in range(70))
OTHER = PROMPT[::-1]
FAMILIES = ("llama", "qwen3", "gemma3", "mamba", "jamba", "lfm2", "falcon-h1", "granitehybrid")


@frozen(kw_only=True)
class Case:
    """One kind of memory."""

    family: str
    type_kv: str = "f16"
    flash_attention: bool = False
    layout: str = "isolated"

    def __str__(self) -> str:
        flash = "-flash" if self.flash_attention else ""
        return f"{self.family}-{self.type_kv}{flash}-{self.layout}"

    @property
    def is_cut(self) -> bool:
        """Whether a part of what a sequence holds can be used."""
        return self.family in ("llama", "qwen3")


CASES = (
    *(Case(family=family) for family in FAMILIES),
    Case(family="qwen3", type_kv="q8_0", flash_attention=True),
    Case(family="llama", layout="shared"),
    Case(family="jamba", layout="shared"),
)
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write one file for each family."""
    root = tmp_path_factory.mktemp("prefixes")
    return {family: write_random_model(root / f"{family}.gguf", family, seed=3) for family in FAMILIES}


@asynccontextmanager
async def open_case(
    case: Case, path: Path, *, has_cache: bool = True, n_seq: int = 3, state_dir: Path | None = None
) -> AsyncGenerator[Model, None]:
    config = Config(
        engine=EngineOptions(n_reuse=8, prefix_cache=has_cache, canary_budget_s=60.0),
        cache=CacheOptions(block_tokens=16, prefetch_bytes=0),
    )
    async with open_runtime(config, state_dir=state_dir) as rt:
        yield await rt.load(
            "model",
            path,
            n_seq=n_seq,
            ctx_per_seq=CTX,
            n_threads=1,
            layout=case.layout,
            flash_attention=case.flash_attention,
            type_k=case.type_kv,
            type_v=case.type_kv,
        )


async def take(model: Model, prompt: Sequence[int], sampling: SamplingOptions, n: int = 6) -> TurnResult:
    return await model.complete(prompt, max_tokens=n, **sampling)


async def check(
    case: Case, path: Path, taken: Sequence[tuple[TurnResult, tuple[int, ...], SamplingOptions]]
) -> None:
    """Compare what is promised to be exact with turns that reuse nothing."""
    async with open_case(case, path, has_cache=False) as model:
        for result, prompt, sampling in taken:
            if result.exactness == "exact":
                want = await take(model, prompt, sampling, len(result.tokens))
                assert want.usage.n_cached == 0
                assert (result.tokens, result.logprobs) == (want.tokens, want.logprobs), result.usage


@each_case
async def test_a_reused_beginning_brings_what_a_cold_run_brings(case: Case, models: dict[str, Path]) -> None:
    path = models[case.family]
    taken: list[tuple[TurnResult, tuple[int, ...], SamplingOptions]] = []
    async with open_case(case, path) as model:
        first = await take(model, PROMPT, GREEDY, 12)
        alike = (*PROMPT[:43], 9, 8, 7, 6)
        longer = (*PROMPT, *first.tokens, 9, 8, 7, *OTHER[:9])
        for prompt in (PROMPT, alike, longer, (*alike, 5, 4, 3), OTHER, PROMPT, longer):
            for sampling in (GREEDY, SEEDED):
                result = await take(model, prompt, sampling)
                taken.append((result, prompt, sampling))
    assert (
        all(result.exactness == "exact" for result, _, _ in taken)
        or case.flash_attention
        or (case.layout == "shared")
    )
    if case.is_cut:  # a memory that is not goes on from where it was left, and from nowhere else
        assert all(result.usage.n_cached >= 16 for result, prompt, _ in taken if prompt != OTHER)
    await check(case, path, taken)


@each_case
async def test_neighbours_that_begin_alike_bring_what_cold_runs_bring(
    case: Case, models: dict[str, Path]
) -> None:
    path = models[case.family]
    taken: list[tuple[TurnResult, tuple[int, ...], SamplingOptions]] = []
    async with open_case(case, path) as model:

        async def note(prompt: tuple[int, ...], sampling: SamplingOptions) -> None:
            taken.append((await take(model, prompt, sampling), prompt, sampling))

        async with trio.open_nursery() as nursery:
            for n in range(5):
                nursery.start_soon(note, (*PROMPT[:50], 200 + n, 5, 6), SEEDED if n % 2 else GREEDY)
    if case.is_cut:  # else whoever comes when the first is past the end of what they share computes it
        assert sum(result.usage.n_cached < 48 for result, _, _ in taken) == 1
    await check(case, path, taken)


@each_case
async def test_a_kept_turn_goes_on_from_each_tier_alike(
    case: Case, models: dict[str, Path], tmp_path: Path
) -> None:
    path = models[case.family]
    parts: list[TurnResult] = []
    async with open_case(case, path, n_seq=1, state_dir=tmp_path) as model:
        first = await model.complete(PROMPT, max_tokens=7, keep=True, **SEEDED)
        assert first.resume_key is not None
        parts.append(await model.resume(first.resume_key, max_tokens=6))
        await take(model, OTHER, GREEDY)
        parts.append(await model.resume(first.resume_key, max_tokens=6))
    async with open_case(case, path, n_seq=2, state_dir=tmp_path) as model:
        parts.append(await model.resume(first.resume_key, max_tokens=6))
    assert [part.usage.source for part in parts] == ["live", "ram", "disk"]
    assert {part.usage.n_cached for part in parts} == {len(PROMPT) + len(first.tokens) - 1}
    if {part.exactness for part in parts} == {"exact"}:
        async with open_case(case, path, has_cache=False) as model:
            whole = await take(model, PROMPT, SEEDED, 13)
        for part in parts:
            assert (*first.tokens, *part.tokens) == whole.tokens
