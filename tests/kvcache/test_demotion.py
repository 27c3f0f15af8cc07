"""Entries leave RAM for the disk when memory is wanted: what is lacking there is written first."""

from __future__ import annotations

from pathlib import Path

from actorllama.kvcache import Block, Demotion, DiskTier, RamTier, SnapshotStore, root_key

N_TOKENS = 4
N_ROW_BYTES = 1000


def open_store(root: Path | None, *, pending_limit_bytes: int = 1 << 20) -> SnapshotStore:
    disk = None if root is None else DiskTier(root, limit_bytes=1 << 20)
    ram = RamTier(limit_bytes=1 << 20)
    return SnapshotStore(ram=ram, disk=disk, pending_limit_bytes=pending_limit_bytes)


def blocks(n: int) -> list[Block]:
    """Make a chain of blocks, root first."""
    parent = root_key("aa", block_tokens=N_TOKENS)
    chain: list[Block] = []
    for index in range(n):
        tokens = tuple(range(index * N_TOKENS, (index + 1) * N_TOKENS))
        chain.append(Block(parent=parent, tokens=tokens, payload=bytes(N_ROW_BYTES), worth_s=1.0))
        parent = chain[-1].key
    return chain


def demote(store: SnapshotStore, n_bytes: int) -> int:
    """Drive a demotion to its end, as the owner of a store does."""
    demotion = Demotion(store, n_bytes)
    demotion.advance()
    while not demotion.is_over:
        job = store.write_behind()
        assert job is not None
        store.finish(job, job.run())
        demotion.advance()
    return demotion.won_bytes


def test_what_is_in_ram_only_is_written_before_it_leaves(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    chain = blocks(5)
    store.put_in_ram(chain)
    used_bytes = store.ram.statistics().used_bytes

    assert demote(store, 1 << 20) == used_bytes
    assert store.ram.keys() == ()
    assert all(store.index.tiers_of(block.key) == ("disk",) for block in chain)
    assert [found.entry for block in chain if (found := store.get(block.key))] == chain


def test_no_more_leaves_than_was_asked_for_and_the_leaf_goes_before_its_root(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    chain = blocks(5)
    store.put_in_ram(chain)

    assert demote(store, chain[0].n_bytes + 1) == 2 * chain[0].n_bytes
    assert store.ram.keys() == tuple(block.key for block in chain[:3])


def test_the_ancestors_of_what_is_demoted_are_written_too(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    chain = blocks(4)
    store.put_in_ram(chain)
    demote(store, 1)

    assert [store.index.has(block.key, "disk") for block in chain] == [True] * 4


def test_what_is_on_disk_already_leaves_at_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    chain = blocks(3)
    store.put_state(chain)
    job = store.write_behind()
    assert job is not None
    store.finish(job, job.run())
    demotion = Demotion(store, 1 << 20)
    demotion.advance()

    assert demotion.is_over
    assert demotion.won_bytes == sum(block.n_bytes for block in chain)


def test_what_waits_for_the_disk_leaves_when_it_is_there(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    chain = blocks(3)
    store.put_state(chain)  # pinned until it is written

    assert demote(store, 1 << 20) == sum(block.n_bytes for block in chain)


def test_without_a_disk_nothing_leaves() -> None:
    store = open_store(None)
    store.put_in_ram(blocks(3))

    assert demote(store, 1 << 20) == 0
    assert len(store.ram.keys()) == 3


def test_what_the_disk_refuses_stays(tmp_path: Path) -> None:
    store = SnapshotStore(ram=RamTier(limit_bytes=1 << 20), disk=DiskTier(tmp_path, limit_bytes=100))
    store.put_in_ram(blocks(3))

    assert demote(store, 1 << 20) == 0
    assert len(store.ram.keys()) == 3


def test_more_than_may_wait_goes_in_several_rounds(tmp_path: Path) -> None:
    root = root_key("aa", block_tokens=N_TOKENS)
    alone = [
        Block(parent=root, tokens=(index,) * N_TOKENS, payload=bytes(N_ROW_BYTES), worth_s=1.0)
        for index in range(6)
    ]
    store = open_store(tmp_path, pending_limit_bytes=2 * alone[0].n_bytes)
    store.put_in_ram(alone)

    assert demote(store, 1 << 20) == sum(block.n_bytes for block in alone)


def test_a_pinned_entry_is_not_dropped(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    (block,) = blocks(1)
    store.put_in_ram([block])
    store.ram.pin(block.key)

    assert store.leave_ram(block.key) == 0
    assert demote(store, 1 << 20) == 0
    assert block.key in store.ram
