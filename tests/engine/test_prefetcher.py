"""What a process will be asked for first is in RAM before anybody asks."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from attrs import evolve

from actorllama.engine import CacheActor
from actorllama.engine.cache_messages import GiveBack
from actorllama.engine.events import TURN_PREFETCHED
from actorllama.kvcache import CacheOptions, DiskTier
from actorllama.telemetry import StrictBus
from actorllama.telemetry.memory_handler import MemoryHandler, record
from tests.engine.test_cache_actor import N, files, keep, open_desk, wait_found

OPTIONS = CacheOptions(block_tokens=N)
TURNS = [keep((number, *range(10, 20))) for number in range(4)]


async def wait_read(told: MemoryHandler, n_turns: int) -> None:
    """Wait until so many turns have been read."""
    with trio.fail_after(60):
        while len(told.facts) < n_turns:
            await trio.lowlevel.checkpoint()


async def save(root: Path) -> None:
    async with open_desk(cache=CacheActor(OPTIONS, root)) as desk:
        for turn in TURNS:
            desk.cache.info_nowait(turn)
        await wait_found(desk.cache, TURNS[-1])


async def tiers(root: Path, options: CacheOptions, n_turns: int) -> list[str]:
    """Tell where a new process finds each turn, when it has read so many."""
    bus = StrictBus()
    with record(bus, TURN_PREFETCHED) as told:
        async with open_desk(cache=CacheActor(options, root), bus=bus) as desk:
            await wait_read(told, n_turns)
            found = [await wait_found(desk.cache, turn) for turn in TURNS]
    assert len(told.facts) == n_turns
    return found


async def test_what_was_used_last_is_in_ram_and_its_files_are_as_they_were(tmp_path: Path) -> None:
    await save(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in files(tmp_path, "*.*")}
    bus = StrictBus()
    with record(bus, TURN_PREFETCHED) as told:
        async with open_desk(cache=CacheActor(OPTIONS, tmp_path), bus=bus) as desk:
            await wait_read(told, len(TURNS))
            assert {path: path.stat().st_mtime_ns for path in files(tmp_path, "*.*")} == before
            assert [await wait_found(desk.cache, turn) for turn in TURNS] == ["ram"] * len(TURNS)
            for turn in TURNS:
                found = await desk.find((*turn.tokens, 7))
                assert found is not None
                assert (found.n_cells, found.source) == (len(turn.tokens), "ram")
                assert bytes(found.kv) == bytes(turn.kv or b"")
    assert [fact.metadata["key"] for fact in told.facts] == [
        turn.snapshot.key for turn in reversed(TURNS) if turn.snapshot is not None
    ]
    n_entries = len(DiskTier(tmp_path, limit_bytes=1 << 30).listing())
    assert sum(fact.measurements["n_entries"] for fact in told.facts) == n_entries
    assert sum(fact.measurements["read_bytes"] for fact in told.facts) == sum(
        path.stat().st_size for path in before if path.name != ".lock"
    )


@pytest.mark.parametrize("half", ["of what is said", "of RAM"])
async def test_it_stays_within_its_limit_and_within_half_of_that_of_ram(tmp_path: Path, half: str) -> None:
    await save(tmp_path)
    two = sum(path.stat().st_size for path in files(tmp_path, "*.*")) // 2
    options = (
        evolve(OPTIONS, prefetch_bytes=two)
        if half == "of what is said"
        else evolve(OPTIONS, ram_limit_bytes=2 * two)
    )
    assert await tiers(tmp_path, options, 2) == ["disk", "disk", "ram", "ram"]


async def test_nothing_is_read_where_nothing_may_be(tmp_path: Path) -> None:
    await save(tmp_path)
    assert await tiers(tmp_path, CacheOptions(block_tokens=N, prefetch_bytes=0), 0) == ["disk"] * 4
    assert await tiers(tmp_path, CacheOptions(block_tokens=N, ram_limit_bytes=0), 0) == ["disk"] * 4


async def test_a_damaged_turn_is_a_miss_and_the_others_come(tmp_path: Path) -> None:
    await save(tmp_path)
    assert TURNS[2].snapshot is not None
    (damaged,) = files(tmp_path, f"{TURNS[2].snapshot.parts[1]}*")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    bus = StrictBus()
    with record(bus, TURN_PREFETCHED) as told:
        async with open_desk(cache=CacheActor(OPTIONS, tmp_path), bus=bus) as desk:
            await wait_read(told, len(TURNS))
            assert [await wait_found(desk.cache, turn) for turn in TURNS] == ["ram", "ram", "disk", "ram"]
            found = await desk.find((*TURNS[2].tokens, 7))
        assert found is not None
        assert found.n_cells == N, "what is before the damage"


async def test_it_ends_when_memory_is_short(tmp_path: Path) -> None:
    await save(tmp_path)
    cache = CacheActor(OPTIONS, tmp_path)
    async with open_desk(cache=cache) as desk:
        with trio.fail_after(60):
            await desk.cache.call(GiveBack(how="scratch", n_bytes=1))
        assert cache._prefetcher.next_job(cache._job_memory.lend_for_cutting) is None
