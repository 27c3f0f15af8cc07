"""What the cache keeps in RAM lies in pages that were touched before, and leaves them when it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import trio
from attrs import evolve
from trio.testing import MockClock

from actorllama.actors import Ref
from actorllama.engine import CacheActor
from actorllama.engine.cache_jobs import Bring
from actorllama.engine.cache_messages import FindPrefix, GiveBack, OfferMemory
from actorllama.engine.commands import RestoredState
from actorllama.engine.idle_clock import IDLE_S
from actorllama.engine.job_memory import JobMemory, MemoryLoan
from actorllama.ids import TurnId
from actorllama.kvcache import ArenaStatistics, Block, CacheOptions, PrefixHit, ReadJob, root_key
from actorllama.kvcache.arena_prefault import PAGE_BYTES
from actorllama.testing.fake_cutter import FakeCutter
from tests.engine.test_cache_actor import keep, open_desk, wait_found

MIB = 1 << 20
BLOCK = 1 << 12  # cells of 16 bytes: 64 KiB
OPTIONS = CacheOptions(block_tokens=BLOCK)


def memory(*, ram_limit_bytes: int = 8 * MIB) -> JobMemory:
    return JobMemory(ram_limit_bytes=ram_limit_bytes, pending_limit_bytes=MIB)


def lies_in_pages(piece: memoryview) -> bool:
    return isinstance(piece.obj, np.ndarray)


def pages_of(cache: CacheActor) -> ArenaStatistics:
    facts = cache._job_memory.statistics()
    assert facts is not None
    return facts


async def settled(cache: CacheActor) -> None:
    """Wait until no child of the cache works any more."""
    with trio.fail_after(30):
        while cache._children:
            await trio.lowlevel.checkpoint()


def test_memory_is_lent_to_one_job_and_the_next_gets_ordinary_memory_meanwhile() -> None:
    jobs = memory()
    first, second = jobs.lend_for_cutting(), jobs.lend_for_cutting()
    assert [lies_in_pages(loan.keep(MIB)) for loan in (first, second)] == [True, False]
    jobs.take_back(second)
    jobs.take_back(first)
    assert lies_in_pages(jobs.lend_for_cutting().keep(MIB))


def test_two_states_are_brought_at_once_each_in_memory_of_its_own() -> None:
    jobs = memory()
    loans = [jobs.lend_for_bringing(reads=True) for _ in range(2)]
    assert all(lies_in_pages(loan.join(MIB)) for loan in loans)
    assert [lies_in_pages(loan.keep(MIB)) for loan in loans] == [True, False]
    for loan in loans:
        jobs.take_back(loan)
    again = jobs.lend_for_bringing(reads=False)
    assert again.transit is loans[1].transit
    assert again.payloads is None


def test_without_a_ram_tier_what_is_read_does_not_stay() -> None:
    loan = memory(ram_limit_bytes=0).lend_for_bringing(reads=True)
    assert loan.payloads is None
    assert lies_in_pages(loan.keep(MIB))
    assert not lies_in_pages(memory(ram_limit_bytes=0).lend_for_cutting().keep(MIB))


def test_pages_go_back_to_the_system_once_they_are_home() -> None:
    jobs = memory()
    loan = jobs.lend_for_cutting()
    loan.keep(MIB)[:] = bytes(MIB)
    jobs.want_trim()
    assert not jobs.trim()
    jobs.take_back(loan)
    facts = jobs.statistics()
    assert facts is not None
    assert facts.touched_bytes == MIB
    assert not jobs.trim()
    facts = jobs.statistics()
    assert facts is not None
    assert facts.touched_bytes == 0


def test_idle_pages_can_be_dropped_those_of_a_job_and_those_in_use_cannot() -> None:
    jobs = memory()
    assert (jobs.idle_bytes, jobs.drop(MIB)) == (0, 0)
    loan = jobs.lend_for_bringing(reads=True)
    used, _gone, _state = loan.keep(MIB), loan.keep(2 * MIB), loan.join(4 * MIB)
    del _gone, _state
    assert jobs.idle_bytes == 0
    jobs.take_back(loan)

    assert jobs.idle_bytes == 6 * MIB
    assert jobs.drop(MIB) == MIB
    assert jobs.idle_bytes == 5 * MIB
    assert jobs.drop(64 * MIB) == 5 * MIB
    assert jobs.idle_bytes == 0
    facts = jobs.statistics()
    assert facts is not None
    assert facts.touched_bytes == len(used)


def test_pages_that_go_back_anyway_are_not_offered() -> None:
    jobs = memory()
    loan = jobs.lend_for_cutting()
    loan.keep(MIB)
    jobs.take_back(loan)
    assert jobs.idle_bytes == MIB
    jobs.want_trim()
    assert (jobs.idle_bytes, jobs.drop(MIB)) == (0, 0)


def test_pages_are_touched_for_what_will_lie_in_them_only() -> None:
    jobs = memory()
    assert jobs.ahead([1000] * 1000) is None
    pages = jobs.ahead([1000, MIB])
    assert pages is not None
    assert pages.n_bytes == MIB


def test_a_job_without_a_loan_has_ordinary_memory() -> None:
    assert not lies_in_pages(MemoryLoan().keep(MIB))
    assert not lies_in_pages(MemoryLoan().join(MIB))


async def test_what_is_kept_is_cut_into_pages_and_more_are_touched_for_the_next() -> None:
    cache = CacheActor(OPTIONS, None)
    async with open_desk(cache=cache) as desk:
        kept = keep(range(3 * BLOCK + 5), n_block=BLOCK)
        desk.cache.info_nowait(kept)
        await wait_found(desk.cache, kept)
        found = await desk.find((*kept.tokens, 7))
        assert found is not None
        assert bytes(found.kv) == bytes(cast("memoryview", kept.kv))
        await settled(cache)
        assert pages_of(cache).used_bytes == pages_of(cache).n_pieces * BLOCK * 16 == 3 * BLOCK * 16
        assert cache._job_memory.ahead([BLOCK * 16] * 3) is None


async def test_memory_that_is_given_back_is_the_systems_again() -> None:
    cache = CacheActor(OPTIONS, None)
    async with open_desk(cache=cache) as desk:
        kept = keep(range(3 * BLOCK + 5), n_block=BLOCK)
        desk.cache.info_nowait(kept)
        assert await desk.find((*kept.tokens, 7)) is not None
        await settled(cache)
        with trio.fail_after(30):
            assert await desk.cache.call(GiveBack(how="evict", n_bytes=MIB)) > 3 * BLOCK * 16
        facts = pages_of(cache)
        assert (facts.used_bytes, facts.touched_bytes) == (0, 0)


async def test_pages_that_hold_nothing_are_offered_and_given_back_before_entries_are() -> None:
    cache = CacheActor(OPTIONS, None)
    async with open_desk(cache=cache) as desk:
        kept = keep(range(3 * BLOCK + 5), n_block=BLOCK)
        desk.cache.info_nowait(kept)
        assert await desk.find((*kept.tokens, 7)) is not None
        await settled(cache)
        with trio.fail_after(30):
            offered = await desk.cache.call(OfferMemory())
            assert offered.scratch_bytes == cache._job_memory.idle_bytes >= 3 * BLOCK * 16
            won = await desk.cache.call(GiveBack(how="scratch", n_bytes=offered.scratch_bytes))
            left = await desk.cache.call(OfferMemory())
        assert won == offered.scratch_bytes
        assert left == evolve(offered, scratch_bytes=0)
        assert await desk.find((*kept.tokens, 7)) is not None


async def test_much_memory_is_given_back_in_portions() -> None:
    cache = CacheActor(OPTIONS, None)
    cache._job_memory = JobMemory(ram_limit_bytes=8 * MIB, pending_limit_bytes=MIB, trim_bytes=BLOCK * 16)
    async with open_desk(cache=cache) as desk:
        kept = keep(range(3 * BLOCK + 5), n_block=BLOCK)
        desk.cache.info_nowait(kept)
        assert await desk.find((*kept.tokens, 7)) is not None
        await settled(cache)
        with trio.fail_after(30):
            await desk.cache.call(GiveBack(how="evict", n_bytes=MIB))
            while pages_of(cache).touched_bytes:
                await trio.lowlevel.checkpoint()


async def test_a_state_that_is_being_brought_outlives_the_entries_that_it_comes_from() -> None:
    cache = CacheActor(OPTIONS, None)
    kept: Sequence[int] = range(3 * BLOCK + 5)
    async with open_desk(cache=cache) as desk:
        desk.cache.info_nowait(keep(kept, n_block=BLOCK))
        await desk.find((*kept, 7))
        await settled(cache)
        job = cache._store.read(cache._store.ram.keys()[:3])
        with trio.fail_after(30):
            await desk.cache.call(GiveBack(how="evict", n_bytes=MIB))
        assert pages_of(cache).n_pieces == 3
        states = [bytes(entry.payload or b"") for entry in job.held.values() if entry.kind == "block"]
        assert b"".join(states) == bytes(cast("memoryview", keep(kept).kv))[8 : 8 + len(states) * BLOCK * 16]
        del job
        assert pages_of(cache).n_pieces == 0


def test_a_state_is_put_together_at_once_where_its_pages_were_touched_before() -> None:
    blocks = [Block(parent=root_key("ab", block_tokens=1), tokens=(n,), payload=bytes(MIB)) for n in range(2)]
    keys = tuple(block.key for block in blocks)
    job = ReadJob(keys=keys, held=dict(zip(keys, blocks, strict=True)), disk=None)
    question = FindPrefix(
        turn_id=TurnId(1),
        namespace="ab",
        tokens=(0, 1, 2),
        n_had=0,
        n_least=1,
        token_s=None,
        cutter=FakeCutter(),
        reply_to=cast("Ref", None),
    )
    hit = PrefixHit(n_cells=2, blocks=keys, boundary=None, tier="ram")
    loan = memory().lend_for_bringing(reads=False)
    bring = Bring(question=question, hit=hit, job=job, memory=loan)
    assert not bring.is_quick
    brought = bring.run()
    assert isinstance(brought.restore, RestoredState)
    assert not bring.is_quick  # the state is there still, and no other page was touched
    del brought
    assert loan.touched_bytes == 2 * MIB + PAGE_BYTES
    assert bring.is_quick
    assert not evolve(bring, memory=MemoryLoan()).is_quick


def test_when_nothing_comes_nothing_is_kept_for_it() -> None:
    jobs = memory()
    loan = jobs.lend_for_bringing(reads=True)
    used, _gone, _state = loan.keep(MIB), loan.keep(2 * MIB), loan.join(4 * MIB)
    del _gone, _state
    jobs.take_back(loan)
    jobs.rest()
    assert not jobs.trim()
    assert loan.touched_bytes == 0
    facts = jobs.statistics()
    assert facts is not None
    assert facts.touched_bytes == len(used)


def test_parts_that_were_read_are_kept_room_for_as_one_state() -> None:
    jobs = memory()
    loan = jobs.lend_for_bringing(reads=True)
    pieces = [loan.keep(MIB) for _ in range(6)]
    loan.join(4 * MIB)
    jobs.take_back(loan)
    del pieces
    _next = jobs.lend_for_cutting().keep(MIB)
    assert loan.payloads is not None
    assert loan.payloads.idle_bytes == 4 * MIB


async def test_after_a_pause_the_cache_keeps_only_what_is_saved(mock_clock: MockClock) -> None:
    cache = CacheActor(OPTIONS, None)
    async with open_desk(cache=cache) as desk:
        kept = keep(range(3 * BLOCK + 5), n_block=BLOCK)
        desk.cache.info_nowait(kept)
        await wait_found(desk.cache, kept)
        assert await desk.find((*kept.tokens, 7)) is not None
        await settled(cache)
        assert cache._job_memory.idle_bytes > 0
        mock_clock.jump(IDLE_S)
        while cache._job_memory.idle_bytes:
            await trio.lowlevel.checkpoint()
        assert pages_of(cache).touched_bytes == pages_of(cache).used_bytes == 3 * BLOCK * 16
        assert await desk.find((*kept.tokens, 7)) is not None
