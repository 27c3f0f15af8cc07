"""The cache actor keeps, finds and brings; and keeps answering whatever becomes of its jobs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import trio
from attrs import define, evolve

from actorllama.actors import Context, InitOutcome, NoReply, Outcome, Ready, Ref, open_system
from actorllama.actors import Server as Actor
from actorllama.engine import CacheActor, FindSnapshot, KeepCells, ReadCacheStatistics
from actorllama.engine.cache_messages import (
    CountCells,
    FindPrefix,
    GiveBack,
    OfferMemory,
    PrefixFound,
)
from actorllama.engine.commands import RestoredState
from actorllama.errors import StateError
from actorllama.ids import TurnId
from actorllama.kvcache import CacheOptions, DiskTier, RamTier, Snapshot, SnapshotStore
from actorllama.native import Allocate, StateCutter, StateParts, fresh_memory
from actorllama.telemetry import Bus
from actorllama.telemetry.memory_handler import record
from actorllama.testing.fake_cutter import FakeCutter

N = 4
OPTIONS = CacheOptions(block_tokens=N, prefetch_bytes=0)  # what is on disk is found there
BIG = 20_000  # cells whose bytes are too many to be cut on the event loop


def state(tokens: Sequence[int]) -> memoryview:
    """Write a state as the fake context does."""
    cells = b"".join(
        position.to_bytes(8, "little") + token.to_bytes(8, "little") for position, token in enumerate(tokens)
    )
    return memoryview(b"FAKE" + len(tokens).to_bytes(4, "little") + cells)


def keep(tokens: Sequence[int], *, is_turn: bool = True, n_block: int = N) -> KeepCells:
    snapshot = Snapshot(
        namespace="ab",
        tokens=(*tokens, 7),
        n_prompt=1,
        sampler=b"s",
        block_tokens=n_block,
        has_boundary=len(tokens) % n_block > 0,
        created_s=0.0,
    )
    return KeepCells(
        namespace="ab",
        tokens=tuple(tokens),
        kv=state(tokens),
        cutter=FakeCutter(),
        token_s=0.001,
        snapshot=snapshot if is_turn else None,
    )


@define
class Asker(Actor[None, None, PrefixFound]):
    """Collects the cache's answers."""

    answers: list[PrefixFound]

    async def init(self, ctx: Context) -> InitOutcome:
        return Ready()

    async def handle_info(self, message: PrefixFound) -> Outcome:
        self.answers.append(message)
        return NoReply()


class Desk:
    """A cache and somebody who asks it."""

    def __init__(self, cache: Ref, asker: Ref, answers: list[PrefixFound]) -> None:
        self.cache = cache
        self._asker = asker
        self._answers = answers

    async def find(
        self,
        tokens: Sequence[int],
        *,
        n_least: int = 1,
        token_s: float | None = None,
        cutter: StateCutter | None = None,
    ) -> RestoredState | None:
        n_before = len(self._answers)
        question = FindPrefix(
            turn_id=TurnId(n_before),
            namespace="ab",
            tokens=tuple(tokens),
            n_had=0,
            n_least=n_least,
            token_s=token_s,
            cutter=cutter or FakeCutter(),
            reply_to=self._asker,
        )
        self.cache.info_nowait(question)
        with trio.fail_after(60):
            while len(self._answers) == n_before:
                await trio.lowlevel.checkpoint()
        assert self._answers[-1].turn_id == question.turn_id
        return self._answers[-1].restore


@asynccontextmanager
async def open_desk(
    root: Path | None = None, *, cache: CacheActor | None = None, bus: Bus | None = None
) -> AsyncGenerator[Desk, None]:
    async with open_system(bus=bus) as system:
        ref = await system.start(lambda: cache or CacheActor(OPTIONS, root), name="cache")
        answers: list[PrefixFound] = []
        asker = await system.start(lambda: Asker(answers))
        yield Desk(ref, asker, answers)


class BrokenDisk:
    """A disk tier with a bug: neither a stored file nor a typed error."""

    def __init__(self) -> None:
        self.n_puts = 0

    def put_all(self, _entries: Sequence[object], *, above: Sequence[str]) -> None:
        self.n_puts += 1
        raise RuntimeError("a bug")


class WithBrokenDisk(CacheActor):
    """The real actor over a broken disk."""

    def __init__(self, disk: BrokenDisk) -> None:
        super().__init__(OPTIONS, None)
        self._broken = disk

    async def init(self, ctx: Context) -> InitOutcome:
        ready = await super().init(ctx)
        self._store = SnapshotStore(ram=RamTier(limit_bytes=1 << 20), disk=cast("DiskTier", self._broken))
        return ready


class StrangeCutter(FakeCutter):
    """Reads no state, or puts none together."""

    def split(
        self,
        data: memoryview,
        *,
        block_tokens: int,
        first_block: int = 0,
        allocate: Allocate = fresh_memory,
    ) -> StateParts:
        raise StateError(operation="split", reason="of another kind")


def files(root: Path, pattern: str) -> list[Path]:
    return [path for path in root.rglob(pattern) if path.is_file()]


async def wait_found(cache: Ref, kept: KeepCells) -> str:
    assert kept.snapshot is not None
    with trio.fail_after(60):
        found = await cache.call(FindSnapshot(key=kept.snapshot.key))
    assert found is not None
    assert found.entry == kept.snapshot
    return found.tier


async def test_a_writer_that_crashes_costs_its_files_and_nothing_else() -> None:
    disk = BrokenDisk()
    async with open_desk(cache=WithBrokenDisk(disk)) as desk:
        kept = [keep((1, token)) for token in range(3)]
        for item in kept:
            desk.cache.info_nowait(item)
        with trio.fail_after(60):
            while disk.n_puts < len(kept):
                await trio.lowlevel.checkpoint()
        assert [await wait_found(desk.cache, item) for item in kept] == ["ram"] * 3
        assert desk.cache.is_alive


async def test_what_is_kept_is_on_disk_when_the_system_has_ended(tmp_path: Path) -> None:
    kept = [keep((1, token)) for token in range(5)]
    async with open_desk(tmp_path) as desk:
        for item in kept:
            desk.cache.info_nowait(item)
        await wait_found(desk.cache, kept[-1])
    async with open_desk(tmp_path) as desk:
        assert [await wait_found(desk.cache, item) for item in kept] == ["disk"] * 5


async def test_a_large_state_that_was_cut_is_not_held_until_a_collection() -> None:
    gc.disable()
    try:
        async with open_desk(cache=CacheActor(CacheOptions(block_tokens=4096), None)) as desk:
            large = keep(range(BIG), n_block=4096)
            whole = weakref.ref(cast("memoryview", large.kv))
            desk.cache.info_nowait(large)
            await wait_found(desk.cache, large)
            del large
            with trio.fail_after(60):
                while whole() is not None or await desk.find((*range(BIG), 7)) is None:
                    await trio.lowlevel.checkpoint()
    finally:
        gc.enable()


async def test_a_large_state_that_was_being_cut_at_the_end_is_on_disk(tmp_path: Path) -> None:
    options = CacheOptions(block_tokens=4096)
    large = keep(range(BIG), n_block=4096)
    async with open_desk(cache=CacheActor(options, tmp_path)) as desk:
        desk.cache.info_nowait(large)
        await wait_found(desk.cache, large)
    async with open_desk(cache=CacheActor(options, tmp_path)) as desk:
        found = await desk.find((*large.tokens, 7))
    assert found is not None
    assert (found.source, found.n_cells, bytes(found.kv)) == ("disk", BIG, bytes(state(large.tokens)))


async def test_a_prefix_is_found_at_blocks_and_where_a_turn_ended() -> None:
    async with open_desk() as desk:
        desk.cache.info_nowait(keep(range(10)))
        for n_common, n_cells in ((10, 10), (9, 8), (8, 8), (7, 4), (4, 4), (3, None)):
            found = await desk.find((*range(n_common), 99, 98))
            assert (found.n_cells if found else None) == n_cells
            if found is not None:
                assert bytes(found.kv) == bytes(state(range(n_cells or 0)))


async def test_who_asks_while_a_state_is_being_cut_gets_it() -> None:
    async with open_desk(cache=CacheActor(CacheOptions(block_tokens=4096), None)) as desk:
        desk.cache.info_nowait(keep(range(BIG), n_block=4096))
        found = await desk.find((*range(BIG), 7))
        assert found is not None
        assert found.n_cells == BIG


async def test_what_is_too_short_or_dearer_than_computing_is_not_brought() -> None:
    async with open_desk() as desk:
        desk.cache.info_nowait(keep(range(8)))
        assert await desk.find((*range(8), 9), n_least=9) is None
        assert await desk.find((*range(8), 9), token_s=1e-9) is None
        assert await desk.find((*range(8), 9), token_s=1.0) is not None


async def test_cells_of_turns_that_were_not_kept_stay_in_memory(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        desk.cache.info_nowait(keep(range(8), is_turn=False))
        assert await desk.find((*range(8), 9)) is not None
    async with open_desk(tmp_path) as desk:
        assert await desk.find((*range(8), 9)) is None
        desk.cache.info_nowait(keep(range(8), is_turn=False))
        desk.cache.info_nowait(keep(range(9)))
        await wait_found(desk.cache, keep(range(9)))
    async with open_desk(tmp_path) as desk:  # a turn that was kept takes the blocks it needs along
        found = await desk.find((*range(9), 9))
        assert (found.n_cells if found else None) == 9


async def test_a_kept_turn_is_on_disk_though_memory_has_no_room_for_what_it_begins_with(
    tmp_path: Path,
) -> None:
    """What only memory has may leave it for the very entries that need it."""
    options = CacheOptions(block_tokens=N, ram_limit_bytes=900)
    kept = keep(range(20))
    async with open_desk(tmp_path, cache=CacheActor(options, tmp_path)) as desk:
        desk.cache.info_nowait(keep(range(8), is_turn=False))
        assert await desk.find((*range(8), 9)) is not None
        desk.cache.info_nowait(kept)
        await desk.find((*range(20), 9))
    async with open_desk(tmp_path) as desk:
        assert await wait_found(desk.cache, kept) == "disk"
        found = await desk.find((*range(20), 9))
        assert (found.n_cells if found else None) == 20


async def test_a_part_that_is_gone_leaves_what_is_before_it(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        desk.cache.info_nowait(keep(range(12)))
        await wait_found(desk.cache, keep(range(12)))
    blocks = files(tmp_path, "*.block")
    assert len(blocks) == 3
    whole: dict[int, int] = {}
    for path in blocks:
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
        async with open_desk(tmp_path) as desk:
            found = await desk.find((*range(12), 9))
        n_cells = found.n_cells if found else 0
        whole[n_cells] = whole.get(n_cells, 0) + 1
        path.write_bytes(data)
    assert whole == {0: 1, 4: 1, 8: 1}


async def test_a_state_that_cannot_be_cut_is_told_and_the_turn_is_kept() -> None:
    bus = Bus()
    with record(bus, ("engine", "cells")) as told:
        async with open_desk(bus=bus) as desk:
            item = keep(range(6))
            desk.cache.info_nowait(
                KeepCells(
                    namespace=item.namespace,
                    tokens=item.tokens,
                    kv=item.kv,
                    cutter=StrangeCutter(),
                    token_s=None,
                    snapshot=item.snapshot,
                )
            )
            await wait_found(desk.cache, item)
            assert await desk.find((*range(6), 9)) is None
    assert [event.event.name for event in told.of(("engine", "cells"))] == [("engine", "cells", "dropped")]


async def test_more_than_may_wait_is_dropped_and_told() -> None:
    bus = Bus()
    options = CacheOptions(block_tokens=N, pending_limit_bytes=100)
    with record(bus, ("engine", "cells")) as told:
        async with open_desk(cache=CacheActor(options, None), bus=bus) as desk:
            desk.cache.info_nowait(keep(range(50)))
            assert await desk.find((*range(50), 9)) is None
            statistics = await desk.cache.call(ReadCacheStatistics())
    assert statistics.ram.n_entries == 0
    assert len(told.of(("engine", "cells"))) == 1


async def test_ram_that_is_given_back_is_on_disk_first(tmp_path: Path) -> None:
    tokens = tuple(range(4 * N + 2))
    async with open_desk(tmp_path) as desk:
        desk.cache.info_nowait(keep(tokens, is_turn=False))  # in RAM only, so far
        offer = await desk.cache.call(OfferMemory())
        assert offer.demotable_bytes == offer.evictable_bytes > offer.largest_bytes > 0
        won = await desk.cache.call(GiveBack(how="demote", n_bytes=offer.demotable_bytes))
        held = await desk.cache.call(ReadCacheStatistics())
        found = await desk.find((*tokens, 9))
    assert won == offer.demotable_bytes
    assert held.ram.used_bytes == 0
    assert found is not None
    assert (found.n_cells, found.source, bytes(found.kv)) == (len(tokens), "disk", bytes(state(tokens)))


async def test_ram_that_is_given_back_without_a_disk_is_forgotten() -> None:
    tokens = tuple(range(4 * N))
    async with open_desk() as desk:
        desk.cache.info_nowait(keep(tokens))
        offer = await desk.cache.call(OfferMemory())
        assert (offer.demotable_bytes, await desk.cache.call(GiveBack(how="demote", n_bytes=1))) == (0, 0)
        won = await desk.cache.call(GiveBack(how="evict", n_bytes=1))
        held = await desk.cache.call(ReadCacheStatistics())
        assert 0 < won <= offer.largest_bytes
        assert held.ram.used_bytes == offer.evictable_bytes - won


async def test_counting_what_is_saved_waits_for_what_is_being_cut() -> None:
    tokens = tuple(index % 1000 for index in range(BIG))
    async with open_desk() as desk:
        desk.cache.info_nowait(keep(tokens, is_turn=False))
        question = CountCells(namespace="ab", tokens=tokens, cutter=FakeCutter())
        assert await desk.cache.call(question) == len(tokens)
        assert await desk.cache.call(evolve(question, namespace="cd")) == 0
