import gc
import threading
import weakref
from pathlib import Path

import attrs
import pytest

from actorllama.errors import CacheError, TierFull
from actorllama.kvcache import DiskTier, Found, PutReport, RamTier, SnapshotStore
from actorllama.kvcache.tally import Tally
from actorllama.telemetry import MemoryHandler, StrictBus
from tests.kvcache.samples import QuickFiles, snapshot_of

N_BYTES = snapshot_of().n_bytes


def store_at(
    root: Path | None, *, n_ram: int = 4, n_pending: int = 2, n_disk: int = 100, bus: StrictBus | None = None
) -> SnapshotStore:
    disk = DiskTier(root, limit_bytes=n_disk * N_BYTES, files=QuickFiles()) if root else None
    return SnapshotStore(
        ram=RamTier(limit_bytes=n_ram * N_BYTES),
        disk=disk,
        pending_limit_bytes=n_pending * N_BYTES,
        bus=bus or StrictBus(),
    )


def write_all(store: SnapshotStore) -> list[str | CacheError]:
    outcomes: list[str | CacheError] = []
    while (job := store.write_behind()) is not None:
        outcome = job.run()
        store.finish(job, outcome)
        outcomes += outcome.hows.values() if isinstance(outcome, PutReport) else [outcome]
    return outcomes


def tier_of(hit: Found | None) -> str | None:
    return hit.tier if hit else None


def test_a_snapshot_is_in_ram_at_once_and_on_disk_when_its_job_ran(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    snapshot = snapshot_of()
    assert store.put(snapshot) == snapshot.key
    assert store.get(snapshot.key) == Found(entry=snapshot, tier="ram")
    assert store.statistics().n_pending == 1

    assert write_all(store) == ["published"]
    assert store.statistics().pending_bytes == 0
    assert store.ram.statistics().n_pinned == 0
    later = store_at(tmp_path)
    assert later.keys() == (snapshot.key,)
    assert later.get(snapshot.key) == Found(entry=snapshot, tier="disk")
    assert tier_of(later.get(snapshot.key)) == "ram", "what was read from disk is kept in RAM"


def test_a_snapshot_that_waits_for_the_disk_is_not_evicted(tmp_path: Path) -> None:
    store = store_at(tmp_path, n_ram=2, n_pending=1)
    store.put(snapshot_of(1))
    for number in (2, 3, 4):
        store.put(snapshot_of(number))
    assert tier_of(store.get(snapshot_of(1).key)) == "ram"
    assert store.statistics().n_dropped == 3


def test_a_queue_that_is_full_drops_and_counts_and_tells(tmp_path: Path) -> None:
    bus = StrictBus()
    heard = MemoryHandler()
    bus.attach("test", (), heard, None)
    store = store_at(tmp_path, n_pending=1, bus=bus)
    store.put(snapshot_of(1))
    store.put(snapshot_of(2))
    assert heard.names() == ["kvcache.write.dropped"]
    assert tier_of(store.get(snapshot_of(2).key)) == "ram"
    assert write_all(store) == ["published"]


def test_a_snapshot_too_large_for_ram_is_still_found_while_it_waits_and_then_on_disk(tmp_path: Path) -> None:
    store = store_at(tmp_path, n_ram=0)
    store.put(snapshot_of(1))
    assert tier_of(store.get(snapshot_of(1).key)) == "ram"
    write_all(store)
    assert tier_of(store.get(snapshot_of(1).key)) == "disk"
    assert tier_of(store.get(snapshot_of(1).key)) == "disk"


def test_a_snapshot_that_fits_nowhere_is_refused(tmp_path: Path) -> None:
    store = store_at(tmp_path, n_ram=0, n_pending=0)
    with pytest.raises(TierFull):
        store.put(snapshot_of())
    with pytest.raises(TierFull):
        store_at(None, n_ram=0).put(snapshot_of())


def test_a_put_of_what_waits_already_is_written_once(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put(snapshot_of(1))
    store.put(snapshot_of(1))
    assert write_all(store) == ["published"]


def test_a_failed_write_leaves_the_snapshot_in_ram(tmp_path: Path) -> None:
    store = store_at(tmp_path, n_disk=0)
    store.put(snapshot_of(1))
    outcome = write_all(store)[0]
    assert isinstance(outcome, TierFull)
    assert tier_of(store.get(snapshot_of(1).key)) == "ram"
    assert store.statistics().n_pending == 0


def test_what_is_removed_is_gone_wherever_it_was(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    key = snapshot_of(1).key
    store.put(snapshot_of(1))
    assert store.remove(key)  # while it waits
    assert (store.get(key), store.keys(), store.write_behind()) == (None, (), None)
    assert not store.remove(key)

    store.put(snapshot_of(1))
    job = store.write_behind()
    assert job is not None
    assert store.remove(key)  # while it is under way
    assert (store.get(key), store.keys()) == (None, ())
    assert not store.remove(key)
    store.finish(job, job.run())
    assert (store.get(key), store.keys()) == (None, ())
    assert store.disk is not None
    assert store.disk.keys() == ()

    store.put(snapshot_of(1))
    write_all(store)
    assert store.remove(key)  # when it is in both tiers
    assert store.get(key) is None


def test_what_was_removed_under_way_is_gone_though_its_write_failed(tmp_path: Path) -> None:
    store = store_at(tmp_path, n_disk=0)
    store.put(snapshot_of(1))
    job = store.write_behind()
    assert job is not None
    assert store.remove(snapshot_of(1).key)
    store.finish(job, job.run())
    assert (store.get(snapshot_of(1).key), store.keys()) == (None, ())


def test_what_was_removed_under_way_and_put_again_stays(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put(snapshot_of(1))
    job = store.write_behind()
    assert job is not None
    store.remove(snapshot_of(1).key)
    store.put(snapshot_of(1))
    store.finish(job, job.run())
    assert tier_of(store.get(snapshot_of(1).key)) == "ram"
    assert store_at(tmp_path).get(snapshot_of(1).key)


def test_a_check_goes_through_both_tiers(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put(snapshot_of(1))
    write_all(store)
    ram, disk = store.check()
    assert (ram.n_checked, disk and disk.n_checked) == (1, 1)
    assert store_at(None).check()[1] is None


def test_a_check_that_drops_a_waiting_snapshot_does_not_break_its_writing(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put(snapshot_of(1))
    store.ram._entries[snapshot_of(1).key].n_bytes += 1
    store.ram._used_bytes += 1
    assert store.check()[0].n_corrupt == 1
    assert write_all(store) == ["published"]


def test_without_a_disk_nothing_waits() -> None:
    store = store_at(None)
    store.put(snapshot_of(1))
    assert store.write_behind() is None
    assert store.statistics().disk is None
    assert store.remove(snapshot_of(1).key)
    assert store.get(snapshot_of(1).key) is None
    assert "None" in repr(store)


def test_a_newer_snapshot_of_a_key_answers_before_the_older(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put(snapshot_of(1))
    newer = attrs.evolve(snapshot_of(1), label="newer")
    store.put(newer)
    assert store.get(newer.key) == Found(entry=newer, tier="ram")


@pytest.mark.slow
def test_threads_count_and_share_one_disk_tier_without_losing_anything(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, limit_bytes=1 << 30, files=QuickFiles())
    wrong: list[int] = []

    def work(first: int) -> None:
        for number in range(first, first + 20):
            tier.put(snapshot_of(number))
            if tier.get(snapshot_of(number).key) != snapshot_of(number):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statistics = tier.statistics()
    assert wrong == []
    assert (statistics.n_hits, statistics.n_entries, statistics.n_failed) == (80, 40, 0)
    assert statistics.n_published == 40
    assert statistics.n_published + statistics.n_adopted == 80


def test_a_tally_adds_up_what_threads_counted() -> None:
    tally = Tally()
    threads = [threading.Thread(target=tally.add, args=("n", 2)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.add("n")
    assert (tally["n"], tally["other"]) == (7, 0)


@pytest.mark.parametrize("is_only_in_ram", [True, False])
def test_what_was_refused_is_gone_at_once_and_waits_for_no_collection(*, is_only_in_ram: bool) -> None:
    store = store_at(None, n_ram=0)
    snapshot = snapshot_of()
    seen = weakref.ref(snapshot)
    gc.disable()
    try:
        with pytest.raises(TierFull):
            (store.put_in_ram if is_only_in_ram else store.put_state)((snapshot,))
        del snapshot
        assert seen() is None
    finally:
        gc.enable()
