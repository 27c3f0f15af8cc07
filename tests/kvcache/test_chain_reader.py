"""A chain is read one entry after the other; what nobody keeps takes no memory."""

from __future__ import annotations

from pathlib import Path

from actorllama.kvcache import (
    DiskTier,
    PutReport,
    RamTier,
    ReadOutcome,
    ReusedMemory,
    SnapshotStore,
    StoredEntry,
    fresh_memory,
)
from tests.kvcache.samples import state_of

TURN = state_of()
PARTS = TURN[:4]
KEYS = tuple(entry.key for entry in PARTS)


def refuse_memory(n_bytes: int) -> memoryview:
    raise AssertionError(f"{n_bytes} bytes are asked for that nobody wants")


def store_with_turn(root: Path, *, n_ram_bytes: int = 1 << 20) -> SnapshotStore:
    """Make the store of a new process: the turn is on disk and nowhere else."""
    first = SnapshotStore(ram=RamTier(limit_bytes=1 << 20), disk=DiskTier(root, limit_bytes=1 << 20))
    first.put_state(TURN)
    job = first.write_behind()
    assert job is not None
    assert isinstance(job.run(), PutReport)
    store = SnapshotStore(ram=RamTier(limit_bytes=n_ram_bytes), disk=DiskTier(root, limit_bytes=1 << 20))
    store.refresh()
    return store


def payload_of(entry: StoredEntry | None) -> bytes:
    assert entry is not None
    assert entry.kind != "snapshot"
    return bytes(entry.payload)


def read_through(store: SnapshotStore, *, order: tuple[str, ...] = KEYS) -> ReadOutcome:
    """Read all parts, hold each against what was stored before the next comes, and tell the store."""
    job = store.read(KEYS)
    reader = job.reader()
    passing = ReusedMemory()
    expected = {entry.key: payload_of(entry) for entry in PARTS}
    for key in order:
        assert payload_of(reader.take(key, keep=fresh_memory, passing=passing)) == expected[key]
    store.finish_read(job, reader.outcome())
    return reader.outcome()


def test_what_is_read_for_the_first_time_passes_and_for_the_second_time_stays(tmp_path: Path) -> None:
    store = store_with_turn(tmp_path)
    assert read_through(store) == ReadOutcome(passed=KEYS)
    assert store.ram.keys() == ()
    assert [store.index.tiers_of(key) for key in KEYS] == [("disk",)] * 4
    assert read_through(store) == ReadOutcome(read=PARTS)
    assert store.ram.keys() == KEYS
    assert read_through(store) == ReadOutcome(), "now it is in memory"


def test_without_room_in_ram_everything_passes_every_time(tmp_path: Path) -> None:
    store = store_with_turn(tmp_path, n_ram_bytes=0)
    assert [read_through(store).passed for _ in range(3)] == [KEYS] * 3


def test_parts_may_be_taken_in_any_order_and_the_last_of_the_chain_still_goes_first(tmp_path: Path) -> None:
    store = store_with_turn(tmp_path)
    read_through(store, order=(KEYS[3], *KEYS[:3]))
    used_ns = {path.name[:32]: path.stat().st_mtime_ns for path in tmp_path.rglob("*.b*")}
    assert [used_ns[key] for key in KEYS] == sorted((used_ns[key] for key in KEYS), reverse=True)
    assert len(set(used_ns.values())) == 4


def test_what_was_used_in_part_is_noted_for_the_rest_too(tmp_path: Path) -> None:
    store = store_with_turn(tmp_path)
    store.get(KEYS[0])
    job = store.read(KEYS)
    reader = job.reader()
    assert set(job.held) == {KEYS[0]}
    assert reader.take(KEYS[0], keep=refuse_memory, passing=refuse_memory) == PARTS[0]
    assert reader.take(KEYS[1], keep=refuse_memory, passing=fresh_memory) == PARTS[1]
    used_ns = {path.name[:32]: path.stat().st_mtime_ns for path in tmp_path.rglob("*.block")}
    assert used_ns[KEYS[0]] == used_ns[KEYS[1]] + 1


def test_all_in_memory_asks_nothing_of_the_disk(tmp_path: Path) -> None:
    store = store_with_turn(tmp_path)
    for key in KEYS:
        store.get(key)
    for path in tmp_path.rglob("*.b*"):
        path.unlink()
    reader = store.read(KEYS).reader()
    assert [reader.take(key, keep=refuse_memory, passing=refuse_memory) for key in KEYS] == list(PARTS)


def test_what_cannot_be_had_is_named_and_what_was_not_tried_is_not(tmp_path: Path) -> None:
    """Whoever reads the end first and finds it gone has not lost the beginning."""
    store = store_with_turn(tmp_path)
    DiskTier(tmp_path, limit_bytes=1 << 20).remove(KEYS[3])
    job = store.read(KEYS)
    reader = job.reader()
    assert reader.take(KEYS[3], keep=fresh_memory, passing=fresh_memory) is None
    assert reader.outcome() == ReadOutcome(missing=KEYS[3])
    assert store.finish_read(job, reader.outcome()) == ()
    assert [store.index.tiers_of(key) for key in KEYS] == [("disk",)] * 3 + [()]


def test_what_was_damaged_is_missing_and_set_aside(tmp_path: Path) -> None:
    store = store_with_turn(tmp_path)
    (path,) = tmp_path.rglob(f"{KEYS[1]}.block")
    data = bytearray(path.read_bytes())
    data[-400] ^= 1
    path.write_bytes(data)
    reader = store.read(KEYS).reader()
    passing = ReusedMemory()
    assert reader.take(KEYS[0], keep=fresh_memory, passing=passing) is not None
    assert reader.take(KEYS[1], keep=fresh_memory, passing=passing) is None
    assert reader.outcome() == ReadOutcome(passed=KEYS[:1], missing=KEYS[1])
    assert not path.exists()


def test_reused_memory_is_the_same_memory_as_long_as_it_is_large_enough() -> None:
    memory = ReusedMemory()
    first = memory(1000)
    first[:] = bytes(range(250)) * 4
    second = memory(10)
    assert (len(second), bytes(second)) == (10, bytes(range(10)))
    second[0] = 99
    assert first[0] == 99
    assert len(memory(2000)) == 2000
    assert first[0] == 99, "who still has the old piece may look at it"
