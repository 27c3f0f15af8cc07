"""The cache actor keeps answering whatever becomes of a write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import trio

from actorllama.actors import Context, InitOutcome, Ref, open_system
from actorllama.engine import CacheActor, FindSnapshot, KeepSnapshot
from actorllama.kvcache import CacheOptions, DiskTier, RamTier, Snapshot, SnapshotStore


class BrokenDisk:
    """A disk tier with a bug: neither a stored file nor a typed error."""

    def __init__(self) -> None:
        self.n_puts = 0

    def put_all(self, _entries: Sequence[Snapshot], *, above: Sequence[str]) -> None:
        self.n_puts += 1
        raise RuntimeError("a bug")


class WithBrokenDisk(CacheActor):
    """The real actor over a broken disk."""

    def __init__(self, disk: BrokenDisk) -> None:
        super().__init__(CacheOptions(), None)
        self._broken = disk

    async def init(self, ctx: Context) -> InitOutcome:
        ready = await super().init(ctx)
        self._store = SnapshotStore(ram=RamTier(limit_bytes=1 << 20), disk=cast("DiskTier", self._broken))
        return ready


def snapshot(token: int) -> Snapshot:
    return Snapshot(namespace="ab", tokens=(1, token), n_prompt=1, sampler=b"s", kv=b"kv", created_s=0.0)


async def wait_found(cache: Ref, kept: Snapshot) -> str:
    with trio.fail_after(10):
        hit = await cache.call(FindSnapshot(key=kept.key))
    assert hit is not None
    assert hit.snapshot.kv == b"kv"
    return hit.tier


async def test_a_writer_that_crashes_costs_a_file_and_nothing_else() -> None:
    disk = BrokenDisk()
    async with open_system() as system:
        cache = await system.start(lambda: WithBrokenDisk(disk))
        kept = [snapshot(token) for token in range(3)]
        for item in kept:
            cache.info_nowait(KeepSnapshot(snapshot=item))
        with trio.fail_after(10):
            while disk.n_puts < len(kept):
                await trio.lowlevel.checkpoint()
        assert [await wait_found(cache, item) for item in kept] == ["ram"] * 3
        assert cache.is_alive


async def test_what_is_kept_is_on_disk_when_the_system_has_ended(tmp_path: Path) -> None:
    kept = [snapshot(token) for token in range(5)]
    async with open_system() as system:
        cache = await system.start(lambda: CacheActor(CacheOptions(), tmp_path))
        for item in kept:
            cache.info_nowait(KeepSnapshot(snapshot=item))
        await wait_found(cache, kept[-1])
    async with open_system() as system:
        cache = await system.start(lambda: CacheActor(CacheOptions(), tmp_path))
        assert [await wait_found(cache, item) for item in kept] == ["disk"] * 5
