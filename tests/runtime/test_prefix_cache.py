"""What was computed once is not computed again, and a reply does not show it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack

import pytest
import trio

from actorllama import Config, Model, Runtime, TurnResult, demo, open_runtime
from actorllama.engine import EngineOptions, ReadCacheStatistics
from actorllama.kvcache import CacheOptions, StoreStatistics
from actorllama.runtime import LoadOptions, SamplingOptions
from actorllama.runtime.names import CACHE_NAME
from actorllama.telemetry import Bus, MemoryHandler

GREEDY: SamplingOptions = {"temperature": 0.0}
SEEDED: SamplingOptions = {"temperature": 0.9, "seed": 3, "repeat_penalty": 1.2}
STORY = (
    "Once upon a time there was a little girl who lived in a small house near the forest. Every day she went "
    "out to play with her dog, and every day the dog ran away to look for the big red ball."
)
OTHER = "The old man had a boat. He liked to sail on the lake when the sun was up and the wind was good."
CACHE = Config(
    engine=EngineOptions(n_reuse=8, canary_budget_s=60.0),
    cache=CacheOptions(block_tokens=16, prefetch_bytes=0),
)
NO_CACHE = Config(engine=EngineOptions(prefix_cache=False, canary_budget_s=60.0))


@asynccontextmanager
async def open_demo(
    config: Config = CACHE,
    *,
    state_dir: Path | None = None,
    bus: Bus | None = None,
    **options: Unpack[LoadOptions],
) -> AsyncGenerator[tuple[Runtime, Model], None]:
    settings: LoadOptions = {"n_seq": 3, "ctx_per_seq": 640, "n_threads": 1, **options}
    async with open_runtime(config, state_dir=state_dir, bus=bus) as rt:
        yield rt, await rt.load("demo", demo.model_path(), **settings)


async def cold(prompt: str, sampling: SamplingOptions, *, max_tokens: int = 8) -> TurnResult:
    async with open_demo(NO_CACHE) as (_, model):
        return await model.complete(prompt, max_tokens=max_tokens, **sampling)


def told(result: TurnResult) -> tuple[bool, str | None, str]:
    return result.usage.n_cached > 0, result.usage.source, result.exactness


async def statistics(rt: Runtime) -> StoreStatistics:
    cache = rt.system.whereis(CACHE_NAME)
    assert cache is not None
    return await cache.call(ReadCacheStatistics())


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
async def test_a_beginning_that_is_live_brings_the_tokens_and_logprobs_of_a_cold_run(
    sampling: SamplingOptions,
) -> None:
    sampling = {**sampling, "logprobs": 2}
    for n in (60, 97, 140):
        want = await cold(STORY[:n], sampling)
        async with open_demo() as (_, model):
            await model.complete(STORY, max_tokens=8, **GREEDY)
            got = await model.complete(STORY[:n], max_tokens=8, **sampling)
        assert told(got) == (True, "live", "exact")
        assert (got.tokens, got.logprobs) == (want.tokens, want.logprobs)


async def test_cells_go_from_the_sequence_to_memory_to_the_disk(tmp_path: Path) -> None:
    async with open_demo(state_dir=tmp_path, n_seq=1) as (_, model):
        first = await model.complete(STORY, max_tokens=20, keep=True, **GREEDY)
        assert first.resume_key is not None
        live = await model.resume(first.resume_key, max_tokens=8)
        await model.complete(OTHER, max_tokens=8, **GREEDY)
        from_ram = await model.resume(first.resume_key, max_tokens=8)
    async with open_demo(state_dir=tmp_path, n_seq=2) as (_, model):
        from_disk = await model.resume(first.resume_key, max_tokens=8)
    assert [told(r) for r in (live, from_ram, from_disk)] == [
        (True, source, "exact") for source in ("live", "ram", "disk")
    ]
    assert live.tokens == from_ram.tokens == from_disk.tokens
    unbroken = await cold(STORY, GREEDY, max_tokens=28)
    assert (*first.tokens, *live.tokens) == unbroken.tokens


async def test_neighbours_that_begin_alike_bring_what_each_brings_alone() -> None:
    prompts = [STORY + end for end in (" It was", " One day", " But then", " Her mother", " The dog")]
    want = [(await cold(prompt, SEEDED)).tokens for prompt in prompts]
    got: dict[int, TurnResult] = {}
    async with open_demo() as (_, model):

        async def take(index: int) -> None:
            got[index] = await model.complete(prompts[index], max_tokens=8, **SEEDED)

        async with trio.open_nursery() as nursery:
            for index in range(len(prompts)):
                nursery.start_soon(take, index)
    assert [got[index].tokens for index in range(len(prompts))] == want
    assert sum(result.usage.n_cached == 0 for result in got.values()) == 1
    assert {result.exactness for result in got.values()} <= {"exact", "faithful"}


async def test_a_turn_that_was_cancelled_leaves_cells_that_are_right() -> None:
    want = await cold(STORY, GREEDY)
    async with open_demo(n_seq=1) as (_, model):
        async with model.stream(STORY, max_tokens=400, **GREEDY) as turn:
            async for _piece in turn:
                break
        got = await model.complete(STORY, max_tokens=8, **GREEDY)
    assert told(got) == (True, "live", "exact")
    assert got.tokens == want.tokens


async def test_two_names_of_one_file_share_and_another_context_does_not() -> None:
    async with open_demo() as (rt, model):
        first = await model.complete(STORY, max_tokens=8, keep=True, **GREEDY)
        twin = await rt.load("twin", demo.model_path(), n_seq=1, ctx_per_seq=640, n_threads=1)
        other = await rt.load(
            "other", demo.model_path(), n_seq=1, ctx_per_seq=640, n_threads=1, type_k="q8_0"
        )
        assert first.resume_key is not None
        shared = await twin.resume(first.resume_key, max_tokens=4)
        apart = await other.complete(STORY, max_tokens=4, **GREEDY)
    assert told(shared) == (True, "ram", "exact")
    assert apart.usage.n_cached == 0


async def test_blocks_of_a_shared_beginning_are_stored_once(bus: Bus, heard: MemoryHandler) -> None:
    async with open_demo(bus=bus, n_seq=1) as (rt, model):
        n_prompt = 0
        for n in range(8):
            chat = await model.complete(f"{STORY} Number {n} said", max_tokens=4, keep=True, **GREEDY)
            n_prompt = max(n_prompt, chat.usage.n_prompt)
        held = await statistics(rt)
    stored = [event.metadata["key"] for event in heard.of(("kvcache", "entry", "published"))]
    assert len(stored) == len(set(stored)) == held.ram.n_entries
    n_shared = n_prompt // 16
    # Eight turns: a snapshot each, what is behind the last full block, and at most two blocks of their own.
    assert held.ram.n_entries <= n_shared + 8 * 4


async def test_a_long_conversation_stores_each_row_once_but_for_unfinished_blocks(
    bus: Bus, heard: MemoryHandler
) -> None:
    async with open_demo(bus=bus, n_seq=1) as (rt, model):
        result = await model.complete(STORY, max_tokens=10, keep=True, **GREEDY)
        for _ in range(19):
            assert result.resume_key is not None
            result = await model.resume(result.resume_key, max_tokens=10)
            assert told(result) == (True, "live", "exact")
        held = await statistics(rt)
    n_cells = result.usage.n_prompt + len(result.tokens) - 1
    published = heard.of(("kvcache", "entry", "published"))
    assert len({event.metadata["key"] for event in published}) == len(published)
    # A snapshot and a tail for each turn, and the blocks.
    assert held.ram.n_entries <= 2 * 20 + n_cells // 16


async def test_without_the_prefix_cache_only_turns_that_go_on_use_what_was() -> None:
    config = Config(engine=EngineOptions(prefix_cache=False, n_reuse=8))
    async with open_demo(config) as (_, model):
        first = await model.complete(STORY, max_tokens=8, keep=True, **GREEDY)
        again = await model.complete(STORY, max_tokens=8, **GREEDY)
        assert first.resume_key is not None
        rest = await model.resume(first.resume_key, max_tokens=4)
    assert again.usage.n_cached == 0
    assert rest.usage.n_cached == rest.usage.n_prompt - 1
