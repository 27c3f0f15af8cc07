"""A process that finds saved turns has pages at hand for the first that goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from actorllama.engine import CacheActor
from actorllama.engine.job_memory import JobMemory
from actorllama.kvcache import CacheOptions
from actorllama.kvcache.arena_prefault import PAGE_BYTES
from tests.engine.test_cache_actor import keep, open_desk, wait_found

MIB = 1 << 20
BLOCK = 1 << 12  # cells of 16 bytes: 64 KiB
OPTIONS = CacheOptions(block_tokens=BLOCK, prefetch_bytes=0)


async def settled(cache: CacheActor) -> None:
    """Wait until no child of the cache works any more."""
    with trio.fail_after(60):
        while cache._children:
            await trio.lowlevel.checkpoint()


async def save(root: Path, n_cells: int) -> tuple[int, ...]:
    async with open_desk(cache=CacheActor(OPTIONS, root)) as desk:
        kept = keep(range(n_cells), n_block=BLOCK)
        desk.cache.info_nowait(kept)
        await wait_found(desk.cache, kept)
    return tuple(kept.tokens)


async def test_pages_of_the_latest_state_are_touched_at_start_and_it_is_put_together_in_them(
    tmp_path: Path,
) -> None:
    tokens = await save(tmp_path, 12 * BLOCK + 5)
    cache = CacheActor(OPTIONS, tmp_path)
    async with open_desk(cache=cache) as desk:
        await settled(cache)
        touched_bytes = cache._job_memory.idle_bytes
        # Twelve blocks, and one on its way; their files have four bytes more for each token, and a head.
        assert 13 * BLOCK * 16 <= touched_bytes <= 13 * (BLOCK * 20 + 1024) + (8 << 10)
        found = await desk.find((*tokens, 7))
        assert found is not None
        assert (found.n_cells, found.source) == (12 * BLOCK + 5, "disk")
        await settled(cache)
        in_use_bytes = -(-len(found.kv) // PAGE_BYTES) * PAGE_BYTES
        assert cache._job_memory.idle_bytes == touched_bytes - in_use_bytes, "no other page was touched"


@pytest.mark.parametrize("n_cells", [0, 40])
async def test_nothing_is_touched_for_nothing_and_for_little(tmp_path: Path, n_cells: int) -> None:
    if n_cells:
        await save(tmp_path, n_cells)
    cache = CacheActor(OPTIONS, tmp_path)
    async with open_desk(cache=cache):
        await settled(cache)
        assert cache._job_memory.idle_bytes == 0


def test_pages_that_a_job_has_are_not_touched_again() -> None:
    jobs = JobMemory(ram_limit_bytes=MIB, pending_limit_bytes=MIB)
    loan = jobs.lend_for_bringing(reads=True)
    assert jobs.ahead_of_bringing(MIB) is None
    jobs.take_back(loan)
    pages = jobs.ahead_of_bringing(MIB)
    assert pages is not None
    assert pages.n_bytes == MIB
