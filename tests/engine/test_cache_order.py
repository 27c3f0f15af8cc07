"""States are cut one after the other, and a question waits for those only that may be its answer."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import trio
from attrs import evolve

from actorllama.engine import CacheActor
from actorllama.kvcache import CacheOptions
from actorllama.native import Allocate, StateParts, fresh_memory
from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing.fake_cutter import FakeCutter
from tests.engine.test_cache_actor import BIG, keep, open_desk, wait_found

N = 1024
OPTIONS = CacheOptions(block_tokens=N)


class HeldCutter(FakeCutter):
    """Cuts when it is told to."""

    def __init__(self) -> None:
        self.is_entered = threading.Event()
        self.released = threading.Event()

    def split(
        self,
        data: memoryview,
        *,
        block_tokens: int,
        first_block: int = 0,
        allocate: Allocate = fresh_memory,
    ) -> StateParts:
        self.is_entered.set()
        assert self.released.wait(10)
        return super().split(data, block_tokens=block_tokens, first_block=first_block, allocate=allocate)


async def test_what_two_states_have_in_common_is_cut_out_of_one_of_them(
    bus: Bus, heard: MemoryHandler
) -> None:
    async with open_desk(cache=CacheActor(OPTIONS, None), bus=bus) as desk:
        kept = [keep((*range(BIG), 100 + n, 101), n_block=N) for n in range(4)]
        for item in kept:
            desk.cache.info_nowait(item)
        # A snapshot is known before its cells are cut; the last question comes when all are.
        assert [await wait_found(desk.cache, item) for item in kept] == ["ram"] * 4
        assert await desk.find((*kept[-1].tokens, 7)) is not None
    stored = Counter(event.metadata["key"] for event in heard.of(("kvcache", "entry", "published")))
    assert len(stored) == BIG // N + 2 * 4
    assert set(stored.values()) == {1}


async def test_a_question_does_not_wait_for_states_that_cannot_be_its_answer() -> None:
    async def ask(tokens: Sequence[int]) -> int | None:
        found = await desk.find(tokens, n_least=2)
        return found.n_cells if found is not None else None

    cutter = HeldCutter()
    async with open_desk(cache=CacheActor(OPTIONS, None)) as desk:
        desk.cache.info_nowait(keep(range(8), n_block=N))
        held = evolve(keep(range(100, 100 + BIG), n_block=N), cutter=cutter)
        desk.cache.info_nowait(held)
        await trio.to_thread.run_sync(cutter.is_entered.wait)
        assert await ask((*range(8), 9)) == 8
        assert await ask((5, 6, 7)) is None
        cutter.released.set()
        assert await ask((*held.tokens, 9)) == BIG
