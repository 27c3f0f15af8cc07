"""Turns on their way through the store: whole jobs, in order, and nothing lost between RAM and disk."""

from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from actorllama.errors import CacheError, TierFull
from actorllama.kvcache import (
    Block,
    DiskTier,
    Kept,
    PutReport,
    RamTier,
    ReadOutcome,
    SnapshotStore,
    WriteJob,
)
from actorllama.telemetry import MemoryHandler, StrictBus
from tests.kvcache.samples import QuickFiles, snapshot_of, state_of

TURN = state_of()
KEYS = tuple(entry.key for entry in TURN)
TURN_BYTES = sum(entry.n_bytes for entry in TURN)


def store_at(
    root: Path | None,
    *,
    n_ram: float = 10,
    n_pending: float = 10,
    n_disk: float = 100,
    bus: StrictBus | None = None,
) -> SnapshotStore:
    """Make a store whose bounds are counted in turns."""
    disk = DiskTier(root, limit_bytes=int(n_disk * TURN_BYTES), files=QuickFiles()) if root else None
    store = SnapshotStore(
        ram=RamTier(limit_bytes=int(n_ram * TURN_BYTES)),
        disk=disk,
        pending_limit_bytes=int(n_pending * TURN_BYTES),
        bus=bus or StrictBus(),
    )
    store.refresh()
    return store


def job_of(store: SnapshotStore) -> WriteJob:
    job = store.write_behind()
    assert job is not None
    return job


def write(store: SnapshotStore) -> PutReport:
    job = job_of(store)
    outcome = job.run()
    assert isinstance(outcome, PutReport)
    store.finish(job, outcome)
    return outcome


def test_a_turn_is_one_job_and_is_found_in_ram_at_once_and_on_disk_after(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert store.put_state(TURN) == Kept(n_in_ram=5, is_queued=True)
    assert store.index.in_tier("ram") == set(KEYS)
    assert store.statistics().n_pending == 5
    assert tuple(write(store).hows) == KEYS
    assert store.write_behind() is None
    assert store.index.in_tier("disk") == set(KEYS)
    assert store.ram.statistics().n_pinned == 0

    later = store_at(tmp_path)
    assert later.index.in_tier("disk") == set(KEYS)
    snapshot = later.get(KEYS[-1])
    assert snapshot is not None
    assert (snapshot.entry, snapshot.tier) == (TURN[-1], "disk")
    job = later.read(KEYS[:4])
    assert job.needs_disk
    assert later.finish_read(job, job.run()) == TURN[:4]
    again = later.read(KEYS[:4])
    assert not again.needs_disk
    assert (again.run(), later.finish_read(again, ReadOutcome())) == (ReadOutcome(), TURN[:4])


@pytest.mark.parametrize("n_before", [1, 2, 3])
def test_what_a_turn_needs_does_not_leave_ram_for_it(tmp_path: Path, n_before: int) -> None:
    """However little room there is: what RAM alone has is pinned before room is made for the rest."""
    for n_ram in (0.25, 0.45, 0.65, 0.85):
        store = store_at(tmp_path / f"{n_ram}", n_ram=n_ram)
        for entry in TURN[:n_before]:
            with suppress(TierFull):
                store.put_in_ram((entry,))
        n_there = sum(entry.key in store.ram for entry in TURN[:n_before])
        if n_there == n_before:
            assert store.put_state(TURN[n_before:]).is_queued
            assert tuple(write(store).hows) == KEYS
            assert store.ram.statistics().n_pinned == 0


def test_what_is_in_ram_already_is_not_put_there_again(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_in_ram(TURN[:3])
    assert store.only_in_ram(KEYS[:3]) == list(TURN[:3])
    assert store.put_state(TURN) == Kept(n_in_ram=5, is_queued=True)
    assert store.ram.statistics().n_puts == 5
    assert store.only_in_ram(KEYS) == []
    assert store_at(None).only_in_ram(KEYS) is None


def test_what_is_on_disk_or_queued_is_not_queued_again(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN[:2])
    store.put_state(TURN)
    assert [len(write(store).hows), len(write(store).hows)] == [2, 3]
    assert store.put_state(TURN).is_queued
    assert store.write_behind() is None


def test_jobs_are_written_one_at_a_time_in_order(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN[:3])
    store.put_state(TURN[3:])
    first = job_of(store)
    assert store.write_behind() is None
    assert (first.entries, first.above) == (TURN[:3], ())
    outcome = first.run()
    store.finish(first, outcome)
    second = job_of(store)
    assert (second.entries, second.above) == (TURN[3:], KEYS[:3])


def test_a_job_too_many_is_dropped_whole_and_its_rows_are_written_with_the_next(tmp_path: Path) -> None:
    bus = StrictBus()
    heard = MemoryHandler()
    bus.attach("test", (), heard, None)
    store = store_at(tmp_path, n_pending=1, bus=bus)
    store.put(snapshot_of(1))
    assert store.put_state(TURN) == Kept(n_in_ram=5, is_queued=False)
    assert heard.facts[0].metadata == {"key": KEYS[-1], "reason": "behind"}
    assert heard.facts[0].measurements["job_bytes"] == TURN_BYTES
    assert len(write(store).hows) == 1
    assert store.write_behind() is None

    assert store.put_state(TURN[-1:]).is_queued
    assert tuple(write(store).hows) == KEYS


def test_a_snapshot_whose_rows_are_nowhere_is_not_written(tmp_path: Path) -> None:
    bus = StrictBus()
    heard = MemoryHandler()
    bus.attach("test", (), heard, None)
    store = store_at(tmp_path, bus=bus)
    assert store.put_state(TURN[1:]) == Kept(n_in_ram=4, is_queued=False)
    assert heard.facts[0].metadata["reason"] == "rootless"
    assert store.write_behind() is None
    assert store.statistics().n_dropped == 1


def test_a_job_behind_one_that_failed_takes_its_rows_along(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN[:3])
    store.put_state(TURN[3:])
    store.finish(job_of(store), CacheError("the writer crashed"))
    assert tuple(write(store).hows) == KEYS


def test_rows_of_a_job_that_failed_stay_for_those_that_wait(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN[:3])
    store.put_state(TURN[3:])
    store.finish(job_of(store), CacheError("the writer crashed"))
    assert store.statistics().n_pending == store.ram.statistics().n_pinned == 5
    assert store.put_state(TURN[3:]).is_queued
    assert not store.ram.remove(KEYS[1])
    assert tuple(write(store).hows) == KEYS


def test_a_job_whose_rows_failed_and_are_nowhere_is_dropped(tmp_path: Path) -> None:
    store = store_at(tmp_path, n_ram=0.01)
    store.put_state(TURN[:3])
    store.put_state(TURN[3:])
    store.finish(job_of(store), CacheError("the writer crashed"))
    assert store.write_behind() is None
    assert store.statistics().n_dropped == 1
    assert store.statistics().n_pending == 0
    assert store.ram.statistics().n_pinned == 0


def test_rows_that_went_from_the_disk_meanwhile_are_written_again_from_ram(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN[:3])
    write(store)
    DiskTier(tmp_path, limit_bytes=1 << 20).remove(KEYS[0])  # as another process may
    store.put_state(TURN[3:])
    assert write(store).missing == (KEYS[0],)
    assert tuple(write(store).hows) == (KEYS[0],)
    assert store_at(tmp_path).index.in_tier("disk") == set(KEYS)


def test_rows_that_went_from_everywhere_are_forgotten(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN[:3])
    write(store)
    DiskTier(tmp_path, limit_bytes=1 << 20).remove(KEYS[0])
    store.ram.remove(KEYS[0])
    store.put_state(TURN[3:])
    assert write(store).missing == (KEYS[0],)
    assert store.write_behind() is None
    assert KEYS[0] not in store.index.in_tier("disk")


def test_what_the_disk_evicted_is_not_in_the_index(tmp_path: Path) -> None:
    store = store_at(tmp_path, n_disk=1)
    store.put_state(TURN)
    write(store)
    store.put_state(state_of(2))
    gone = write(store).evicted
    assert set(gone) == set(KEYS)
    assert store.index.in_tier("disk") == {entry.key for entry in state_of(2)}


def test_a_chain_with_a_gap_is_read_up_to_it_and_the_gap_is_forgotten(tmp_path: Path) -> None:
    store = store_at(tmp_path, n_ram=0)
    store.put_state(TURN)
    write(store)
    DiskTier(tmp_path, limit_bytes=1 << 20).remove(KEYS[1])
    hit = store.index.longest_prefix("c0ffee", (1, *range(2, 15)), block_tokens=4, needs_boundary=False)
    assert hit is not None
    job = store.read(hit.keys)
    assert store.finish_read(job, job.run()) == TURN[:1]
    hit = store.index.longest_prefix("c0ffee", (1, *range(2, 15)), block_tokens=4, needs_boundary=False)
    assert hit is not None
    assert hit.n_cells == 4


def test_what_was_removed_while_it_was_read_is_not_kept(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN)
    job = job_of(store)
    store.remove(KEYS[0])
    reading = store.read(KEYS)
    assert KEYS[0] not in reading.held
    outcome = job.run()
    read = reading.run()
    store.finish_read(reading, read)
    store.finish(job, outcome)
    assert store.index.tiers_of(KEYS[0]) == ()
    assert store.get(KEYS[0]) is None


def test_what_is_removed_from_a_job_that_waits_is_not_written(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN)
    assert store.remove(KEYS[4])
    assert tuple(write(store).hows) == KEYS[:4]
    assert store.ram.statistics().n_pinned == 0


def test_what_is_removed_from_the_second_job_leaves_the_first(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN[:3])
    store.put_state(TURN[3:])
    assert store.remove(KEYS[4])
    assert [tuple(write(store).hows), tuple(write(store).hows)] == [KEYS[:3], KEYS[3:4]]


def test_what_is_kept_in_ram_only_reaches_the_disk_with_a_snapshot_that_needs_it(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert store.put_in_ram(TURN[:4]) == Kept(n_in_ram=4, is_queued=False)
    assert store.write_behind() is None
    store.put(TURN[4])
    assert tuple(write(store).hows) == KEYS


def test_what_a_check_drops_from_ram_is_not_found_there(tmp_path: Path) -> None:
    store = store_at(None)
    store.put_state(TURN)
    store.ram._entries[KEYS[1]].n_bytes += 1
    store.ram._used_bytes += 1
    assert store.check()[0].n_corrupt == 1
    assert store.index.in_tier("ram") == set(KEYS) - {KEYS[1]}


def test_what_another_process_wrote_is_found_after_a_refresh(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    DiskTier(tmp_path, limit_bytes=1 << 20).put_all(TURN)
    assert len(store.index) == 0
    store.refresh()
    assert store.index.in_tier("disk") == set(KEYS)


def test_a_row_that_was_removed_while_it_is_written_roots_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN[:3])
    job = job_of(store)
    assert store.remove(KEYS[0])
    assert not store.put_state(TURN[3:]).is_queued
    store.finish(job, job.run())
    assert store.index.tiers_of(KEYS[0]) == ()


def test_rows_behind_a_gap_in_ram_are_not_kept_there(tmp_path: Path) -> None:
    small = state_of(1, n_bytes=10)
    assert isinstance(small[1], Block)
    large = attrs.evolve(small[1], payload=bytes(10 * TURN_BYTES))
    store = store_at(None, n_ram=1)
    kept = store.put_state((small[0], large, *small[2:]))
    assert kept.n_in_ram == 2
    assert store.index.in_tier("ram") == {small[0].key, small[4].key}


def test_a_turn_that_fits_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TierFull):
        store_at(None, n_ram=0).put_state(TURN)
    assert store_at(tmp_path, n_ram=0).put_state(TURN) == Kept(n_in_ram=0, is_queued=True)


def test_in_ram_a_leaf_goes_before_its_root() -> None:
    store = store_at(None, n_ram=1)
    store.put_state(TURN)
    evicted: list[str] = []
    for number in range(100, 104):
        evicted += store.put_state((snapshot_of(number, n_kv=0),)).evicted
    assert tuple(evicted) == tuple(reversed(KEYS))[: len(evicted)]
    assert len(evicted) >= 3
    assert store.index.in_tier("ram") == set(store.ram.keys())


def test_a_repr_tells_counts_and_no_words(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.put_state(TURN)
    assert "<5 entries>" in repr(job_of(store))
    assert "<5 keys>" in repr(store.read(KEYS))
    assert "5 pending" in repr(store)
