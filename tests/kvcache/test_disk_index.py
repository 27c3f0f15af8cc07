import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorllama.kvcache import FileFacts
from actorllama.telemetry import StrictBus
from tests.kvcache.samples import (
    LonelyFiles,
    encoded,
    path_of,
    snapshot_of,
    tier_at,
)


class WatchedFiles(LonelyFiles):
    """Counts what the index reads, and lets the steady clock be set."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s = 0.0
        self.n_scans = 0
        self.n_opened = 0

    def monotonic_s(self) -> float:
        return self.at_s

    def scan(self, path: str) -> Iterator[FileFacts]:
        self.n_scans += 1
        return super().scan(path)

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        self.n_opened += 1
        return super().open(path, flags, mode)


def test_an_index_opens_no_file_and_reads_a_directory_only_until_it_has_settled(
    root: Path, bus: StrictBus
) -> None:
    tier_at(root, bus=bus).put(snapshot_of(1))
    files = WatchedFiles()
    tier = tier_at(root, bus=bus, files=files)
    n_scans: list[int] = []
    for at_s in (0.0, 0.5, 2.0, 3.0, 4.0):
        files.at_s = at_s
        assert tier.keys() == (snapshot_of(1).key,)
        n_scans.append(files.n_scans)
    assert n_scans == [1, 2, 3, 3, 3]
    assert files.n_opened == 0

    tier_at(root, bus=bus).remove(snapshot_of(1).key)
    shard = path_of(root, snapshot_of(1)).parent
    os.utime(shard, ns=(1, 1))  # as if the file system's clock had ticked meanwhile
    assert tier.keys() == ()


def test_a_victim_that_was_used_meanwhile_is_spared(root: Path, bus: StrictBus) -> None:
    """A use changes no directory's time stamp: the index learns of it when it looks at its victims again."""
    files = WatchedFiles()
    tier = tier_at(root, bus=bus, n_entries=3, files=files)
    for number in (1, 2, 3):
        tier.put(snapshot_of(number))
    for files.at_s in (0.0, 2.0):
        tier.keys()
    assert tier_at(root, bus=bus).get(snapshot_of(1).key)
    tier.put(snapshot_of(4))
    assert set(tier.keys()) == {snapshot_of(number).key for number in (1, 3, 4)}


def test_a_victim_that_is_gone_already_costs_nobody_else_the_place(root: Path, bus: StrictBus) -> None:
    files = WatchedFiles()
    tier = tier_at(root, bus=bus, n_entries=3, files=files)
    for number in (1, 2, 3):
        tier.put(snapshot_of(number))
    for files.at_s in (0.0, 2.0):
        tier.keys()
    shard = path_of(root, snapshot_of(1)).parent
    stamp_ns = shard.stat().st_mtime_ns
    path_of(root, snapshot_of(1)).unlink()
    os.utime(shard, ns=(stamp_ns, stamp_ns))
    tier.put(snapshot_of(4))
    assert set(tier.keys()) == {snapshot_of(number).key for number in (2, 3, 4)}


class UsedForEver(WatchedFiles):
    """Every file is used again whenever somebody looks."""

    def stat(self, path: str) -> os.stat_result:
        if path.endswith(".kv"):
            os.utime(path)
        return super().stat(path)


def test_room_is_made_though_every_victim_is_used_again_and_again(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus, n_entries=1, files=UsedForEver())
    tier.put(snapshot_of(1))
    tier.put(snapshot_of(2))
    assert tier.keys() == (snapshot_of(2).key,)


@pytest.mark.slow
def test_an_index_of_many_entries_is_read_quickly(root: Path, bus: StrictBus) -> None:
    """100,000 in five seconds is 50 µs each; counted in seconds of the processor."""
    if sys.gettrace() is not None:
        pytest.skip("a tracer, such as coverage's, takes most of the time")
    n_entries = 4000
    for number in range(n_entries):
        snapshot = snapshot_of(number, n_kv=8)
        path_of(root, snapshot).parent.mkdir(parents=True, exist_ok=True)
        path_of(root, snapshot).write_bytes(encoded(snapshot))
    took_s: list[float] = []
    for _ in range(3):  # one of them may be in the way of the garbage collector
        tier = tier_at(root, bus=bus)
        began_s = time.thread_time()
        assert len(tier.keys()) == n_entries
        took_s.append(time.thread_time() - began_s)
    assert min(took_s) <= n_entries * 50e-6
