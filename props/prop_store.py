"""Laws of the store: turns of conversations in RAM and on disk, removed, lost, crashed, and started anew."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType] (hypothesis gives no types)
)

from actorllama.errors import CacheError, TierFull
from actorllama.kvcache import (
    Block,
    Boundary,
    DiskTier,
    PosixFileSystem,
    PrefetchJob,
    PutReport,
    RamTier,
    Snapshot,
    SnapshotStore,
    StoredEntry,
    WriteJob,
    chain_of,
    fresh_memory,
)

N = 2
RAM_BYTES = 9000
PENDING_BYTES = 6000
TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=8)
PAYLOADS = st.sampled_from([0, 50, 900])


class QuickFiles(PosixFileSystem):
    """Never waits for the disk."""

    def fsync(self, fd: int) -> None:
        """Do nothing."""


def rows_of(tokens: list[int], n_bytes: int) -> bytes:
    """Make rows that depend on all tokens, as those of a model do."""
    return bytes([len(tokens), *tokens]) + bytes(n_bytes)


def state_of(tokens: list[int], n_bytes: int = 0) -> list[StoredEntry]:
    """Cut a turn of these tokens, the last of them pending, into entries, root first."""
    cells = tokens[:-1]
    chain = chain_of("ab", cells, block_tokens=N)
    entries: list[StoredEntry] = []
    parent = chain.root
    for i, key in enumerate(chain.blocks):
        end = (i + 1) * N
        rows = rows_of(cells[:end], n_bytes)
        entries.append(Block(parent=parent, tokens=cells[end - N : end], payload=rows))
        parent = key
    if chain.tail:
        entries.append(Boundary(parent=parent, tail=chain.tail, payload=rows_of(cells, n_bytes)))
    snapshot = Snapshot(
        namespace="ab",
        tokens=tokens,
        n_prompt=1,
        sampler=b"s",
        block_tokens=N,
        has_boundary=bool(chain.tail),
        created_s=0.0,
    )
    return [*entries, snapshot]


def is_same(one: StoredEntry, other: StoredEntry) -> bool:
    """Compare but for the length of payloads, which differs from put to put."""
    if isinstance(one, Snapshot) or isinstance(other, Snapshot):
        return one == other
    n_rows = one.payload[0] + 1
    return one.key == other.key and bytes(one.payload[:n_rows]) == bytes(other.payload[:n_rows])


class TheStoreKeepsTurns(RuleBasedStateMachine):
    """Whatever happens, nothing wrong is answered, and no snapshot is on disk without its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="actorllama-prop-"))
        self.made: dict[str, StoredEntry] = {}
        self.lost: set[str] = set()  # taken off the disk: by a removal, or behind the store's back
        self.job: WriteJob | None = None
        self.prefetch: PrefetchJob | None = None
        self.removed: set[str] = set()  # since it was begun
        self.start()

    def start(self) -> None:
        """Begin with nothing in RAM."""
        self.disk = DiskTier(self.root, limit_bytes=1 << 20, files=QuickFiles())
        self.store = SnapshotStore(
            ram=RamTier(limit_bytes=RAM_BYTES), disk=self.disk, pending_limit_bytes=PENDING_BYTES
        )
        self.store.refresh()
        self.job = None
        self.prefetch = None

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(tokens=TOKENS, n_bytes=PAYLOADS)
    def turn(self, tokens: list[int], n_bytes: int) -> None:
        entries = state_of(tokens, n_bytes)
        self.made.update((entry.key, entry) for entry in entries)
        n_stored = self.store.index.n_stored(entry.key for entry in entries if entry.kind == "block")
        had = self.store.only_in_ram(entry.key for entry in entries[:n_stored])
        pending_bytes = self.store.statistics().pending_bytes
        needed = (*(had or ()), *entries[n_stored:])  # payloads of one key differ in length
        may_wait = pending_bytes + sum(entry.n_bytes for entry in needed) <= PENDING_BYTES
        try:
            kept = self.store.put_state(entries[n_stored:])
        except TierFull:
            assert not (had is not None and may_wait)
            return
        assert kept.is_queued or not (had is not None and may_wait)
        if kept.is_queued:
            safe = self.store.index.in_tier("disk").union(self.store._behind.queue.keys())
            assert {entry.key for entry in entries} <= safe

    @rule(tokens=TOKENS)
    def find(self, tokens: list[int]) -> None:
        hit = self.store.index.longest_prefix("ab", tokens, block_tokens=N, needs_boundary=False)
        if hit is None:
            return
        job = self.store.read(hit.keys)
        assert job.needs_disk == (hit.tier == "disk")
        entries = self.store.finish_read(job, job.run())
        assert [entry.key for entry in entries] == list(hit.keys)[: len(entries)]
        assert all(is_same(entry, self.made[entry.key]) for entry in entries)
        assert len(entries) == len(hit.keys) or hit.keys[len(entries)] in self.lost
        assert len(entries) == len(hit.keys) or hit.keys[len(entries)] not in self.store.index.in_tier("disk")

    @rule(tokens=TOKENS)
    def get(self, tokens: list[int]) -> None:
        for entry in state_of(tokens):
            found = self.store.get(entry.key)
            assert found is None or is_same(found.entry, self.made[entry.key])

    @rule(tokens=TOKENS, data=st.data())
    def remove(self, tokens: list[int], data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(state_of(tokens))).key
        self.store.remove(key)
        self.lost.add(key)
        self.removed.add(key)
        assert self.store.get(key) is None
        assert self.store.index.tiers_of(key) == ()

    @precondition(lambda self: self.prefetch is None)
    @rule(data=st.data())
    def begin_prefetching(self, data: st.DataObject) -> None:
        self.disk.listing()
        turns = self.disk.latest_turns(limit_bytes=data.draw(st.sampled_from([None, 4000]))).turns
        if turns:
            self.prefetch = self.store.prefetch(data.draw(st.sampled_from(turns)))
            self.removed = set()

    @precondition(lambda self: self.prefetch is not None)
    @rule()
    def finish_prefetching(self) -> None:
        assert self.prefetch is not None
        before = {path: path.stat().st_mtime_ns for path in self.root.rglob("*.*")}
        entries = self.prefetch.run(keep=fresh_memory)
        assert {path: path.stat().st_mtime_ns for path in self.root.rglob("*.*")} == before, "no use of them"
        assert [entry.key for entry in entries] == list(self.prefetch.keys)[: len(entries)]
        assert len(entries) == len(self.prefetch.keys) or self.prefetch.keys[len(entries)] in self.lost
        assert all(is_same(entry, self.made[entry.key]) for entry in entries)
        had = {key for key in self.removed if self.store.get_ram(key) is not None}  # put again since
        self.store.prefetched(entries)
        on_disk = self.store.index.in_tier("disk")
        for key in self.removed - had - on_disk:
            assert self.store.get_ram(key) is None, "what was removed does not come back"
        self.prefetch = None

    @rule()
    def begin_writing(self) -> None:
        job = self.store.write_behind()
        assert job is None or self.job is None
        self.job = self.job or job

    @precondition(lambda self: self.job is not None)
    @rule()
    def write(self) -> None:
        assert self.job is not None
        outcome = self.job.run()
        assert isinstance(outcome, PutReport)
        self.store.finish(self.job, outcome)
        self.lost -= {entry.key for entry in self.job.entries} & set(self.disk.keys())
        self.job = None

    @precondition(lambda self: self.job is not None)
    @rule(n_written=st.integers(0, 3))
    def crash_while_writing(self, n_written: int) -> None:
        assert self.job is not None
        for entry in self.job.entries[:n_written]:
            self.disk.put(entry)
        self.store.finish(self.job, CacheError("the writer crashed"))
        self.job = None

    @rule(data=st.data())
    def another_process_evicts(self, data: st.DataObject) -> None:
        keys = sorted(self.disk.keys())
        if keys:
            key = data.draw(st.sampled_from(keys))
            self.lost.add(key)
            self.disk.remove(key)

    @rule()
    def refresh(self) -> None:
        self.store.refresh()
        assert self.store.index.in_tier("disk") == set(self.disk.keys()) - self.store._behind.doomed

    @rule()
    def restart(self) -> None:
        self.start()

    @invariant()
    def memory_is_accounted_for(self) -> None:
        store = self.store
        in_memory = set(store.ram.keys()) | {
            key for key in set(store._behind.queue.keys()) if key not in store._behind.doomed
        }
        assert store.index.in_tier("ram") == in_memory - store._behind.doomed
        statistics = store.ram.statistics()
        assert statistics.used_bytes <= RAM_BYTES
        assert (
            statistics.n_pinned
            == len(store._behind._pinned)
            == len(store._behind._pinned & set(store.ram.keys()))
        )
        pending = [store._behind.queue.get(key) for key in set(store._behind.queue.keys())]
        assert (
            store._behind.queue.used_bytes
            == sum(entry.n_bytes for entry in pending if entry)
            <= PENDING_BYTES
        )
        assert store.check()[0].n_corrupt == 0

    @invariant()
    def what_waits_can_be_had(self) -> None:
        for key in set(self.store._behind.queue.keys()):
            assert key in self.store._behind.doomed or self.store.get_ram(key) is not None

    @invariant()
    def no_snapshot_on_disk_lacks_its_rows(self) -> None:
        on_disk = set(self.disk.keys())
        for key in on_disk:
            made = self.made[key]
            if isinstance(made, Snapshot):
                assert set(made.parts) <= on_disk | self.lost


@pytest.mark.slow
def prop_a_store_keeps_turns() -> None:
    run_state_machine_as_test(TheStoreKeepsTurns)


def test_a_removed_row_that_is_back_in_ram_is_queued_for_the_snapshot_that_still_waits() -> None:
    """What was found once: the snapshot waited, so nothing was queued, and its row was only in RAM."""
    machine = TheStoreKeepsTurns()
    try:
        long, short = [0] * 8, [0] * 4
        machine.store.put_state(state_of(long))
        row = state_of(long)[0]
        machine.store.remove(row.key)
        machine.store.put_in_ram(state_of(short)[:1])
        assert machine.store.put_state(state_of(long)[3:]).is_queued
        assert machine.store._behind.has(row.key)
    finally:
        machine.teardown()
