"""Laws of snapshots, their bytes, and the RAM tier."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType] (hypothesis gives no types)
)

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch, TierFull
from actorllama.kvcache import (
    Block,
    Boundary,
    Candidate,
    RamTier,
    Snapshot,
    StoredEntry,
    decode,
    plan_eviction,
)

TOKEN = st.integers(0, (1 << 31) - 1)


WORTHS = st.floats(0, 1e9)
KEY_TEXTS = st.text("0123456789abcdef", min_size=32, max_size=32)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    tokens = draw(st.lists(TOKEN, min_size=1, max_size=50))
    kv = draw(st.none() | st.binary(max_size=300))
    is_chain = kv is None
    return Snapshot(
        namespace=draw(st.text("0123456789abcdef", min_size=1, max_size=64)),
        tokens=tuple(tokens),
        n_prompt=draw(st.integers(0, len(tokens))),
        sampler=draw(st.binary(max_size=50)),
        kv=kv,
        block_tokens=draw(st.integers(1, 70)) if is_chain else None,
        has_blocks=draw(st.booleans()),
        has_boundary=draw(st.booleans()) if is_chain else False,
        logits=draw(st.none() | st.binary(min_size=1, max_size=50)),
        created_s=draw(st.floats(allow_nan=False, allow_infinity=False)),
        label=draw(st.text(max_size=30)),
        worth_s=draw(WORTHS),
    )


BLOCKS = st.builds(
    Block,
    parent=KEY_TEXTS,
    tokens=st.lists(TOKEN, min_size=1, max_size=70),
    payload=st.binary(max_size=300),
    worth_s=WORTHS,
)
BOUNDARIES = st.builds(
    Boundary,
    parent=KEY_TEXTS,
    tail=st.lists(TOKEN, max_size=69),
    payload=st.binary(max_size=300) | st.integers(0, 9000).map(bytes),
    worth_s=WORTHS,
)
ENTRIES = snapshots() | BLOCKS | BOUNDARIES
MAC_KEYS = st.none() | st.binary(min_size=16, max_size=64)


LOSSLESS = st.sampled_from(["none", "lz4", "zstd"])


@given(ENTRIES, MAC_KEYS, LOSSLESS)
def prop_decoding_what_was_encoded_gives_the_entry(
    entry: StoredEntry, mac_key: bytes | None, codec: str
) -> None:
    data = b"".join(entry.encode(mac_key=mac_key, codec=codec))
    read = decode(data, mac_key=mac_key)
    assert read == entry
    assert (read.key, read.parent, read.n_tail) == (entry.key, entry.parent, entry.n_tail)
    assert read.has_right_key()
    assert len(data) == entry.n_bytes or (codec != "none" and len(data) < entry.n_bytes + 8)


@given(ENTRIES, MAC_KEYS, LOSSLESS, st.data())
def prop_damaged_bytes_are_never_an_entry(
    entry: StoredEntry, mac_key: bytes | None, codec: str, data: st.DataObject
) -> None:
    """Overwrite, cut, or insert anywhere: refused, unless nothing changed."""
    whole = b"".join(entry.encode(mac_key=mac_key, codec=codec))
    first = data.draw(st.integers(0, len(whole)))
    last = data.draw(st.integers(first, len(whole)))
    damaged = whole[:first] + data.draw(st.binary(max_size=40)) + whole[last:]
    if damaged != whole:
        with pytest.raises((SnapshotCorrupt, SnapshotMismatch)):
            decode(damaged, mac_key=mac_key)


@given(st.binary(max_size=1000))
def prop_any_bytes_are_refused_by_a_typed_error(data: bytes) -> None:
    with pytest.raises(SnapshotCorrupt):
        decode(data)


@given(snapshots(), snapshots())
def prop_keys_are_equal_if_and_only_if_the_content_is(one: Snapshot, other: Snapshot) -> None:
    same = (one.namespace, one.tokens, one.sampler) == (other.namespace, other.tokens, other.sampler)
    assert (one.key == other.key) == same


CANDIDATES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=20)


@given(CANDIDATES, st.integers(-5, 200))
def prop_a_plan_frees_enough_in_order_and_no_entry_too_many(
    sizes_and_ranks: list[tuple[int, int]], needed_bytes: int
) -> None:
    candidates = [
        Candidate(key=f"{number:02}", n_bytes=size, rank=(float(rank),))
        for number, (size, rank) in enumerate(sizes_and_ranks)
    ]
    plan = plan_eviction(candidates, needed_bytes=needed_bytes)
    if plan is None:
        assert sum(one.n_bytes for one in candidates) < needed_bytes
        return
    order = sorted(candidates, key=lambda one: (one.rank, one.key))
    assert list(plan) == order[: len(plan)]
    freed_bytes = sum(one.n_bytes for one in plan)
    assert freed_bytes >= needed_bytes
    assert not plan or freed_bytes - plan[-1].n_bytes < needed_bytes


KEYS = st.integers(0, 7)


LIMIT_BYTES = 3000


class RamAgreesWithADict(RuleBasedStateMachine):
    """A tier is a dict that forgets: leaf before root, never what is pinned; and counts every byte."""

    def __init__(self) -> None:
        super().__init__()
        self.tier = RamTier(limit_bytes=LIMIT_BYTES)
        self.model: dict[str, Block] = {}
        self.pins: dict[str, int] = {}

    def make(self, number: int, n_bytes: int = 0) -> Block:
        """Make a node of a binary tree: 0 is the root, 1 and 2 are its children."""
        parent = self.make((number - 1) // 2).key if number else "0" * 32
        return Block(parent=parent, tokens=(number,), payload=bytes(n_bytes), worth_s=number % 3)

    def ancestors(self, key: str | None) -> set[str]:
        """Walk from an entry to its root, as far as entries are there."""
        found: set[str] = set()
        while key in self.model:
            found.add(key)
            key = self.model[key].parent
        return found

    @rule(number=KEYS, n_bytes=st.integers(0, LIMIT_BYTES))
    def put(self, number: int, n_bytes: int) -> None:
        block = self.make(number, n_bytes)
        stays = self.ancestors(block.parent).union(*map(self.ancestors, self.pins)) - {block.key}
        old_bytes = self.model[block.key].n_bytes if block.key in self.model else 0
        stays |= self.ancestors(block.key) - {block.key}
        used_bytes = sum(one.n_bytes for one in self.model.values()) - old_bytes
        is_possible = sum(self.model[key].n_bytes for key in stays) + block.n_bytes <= LIMIT_BYTES
        try:
            evicted = self.tier.put(block)
        except TierFull:
            assert not is_possible
            return
        assert is_possible
        assert evicted is not None
        assert not set(evicted) & stays
        assert block.key not in evicted
        freed_bytes = 0
        for key in evicted:
            assert used_bytes - freed_bytes + block.n_bytes > LIMIT_BYTES, "one more than was needed"
            assert all(one.parent != key for one in self.model.values()), "before its children"
            freed_bytes += self.model.pop(key).n_bytes
        self.model[block.key] = block

    @rule(number=KEYS)
    def get(self, number: int) -> None:
        key = self.make(number).key
        assert self.tier.get(key) is self.model.get(key)

    @rule(number=KEYS)
    def remove(self, number: int) -> None:
        key = self.make(number).key
        assert self.tier.remove(key) == (key in self.model and key not in self.pins)
        if key not in self.pins:
            self.model.pop(key, None)

    @rule(number=KEYS)
    def pin(self, number: int) -> None:
        key = self.make(number).key
        assert self.tier.pin(key) == (key in self.model)
        if key in self.model:
            self.pins[key] = self.pins.get(key, 0) + 1

    @rule(number=KEYS)
    def unpin(self, number: int) -> None:
        key = self.make(number).key
        if key not in self.pins:
            with pytest.raises(ValueError, match="not pinned"):
                self.tier.unpin(key)
            return
        self.tier.unpin(key)
        self.pins[key] -= 1
        if self.pins[key] == 0:
            del self.pins[key]

    @invariant()
    def agree(self) -> None:
        statistics = self.tier.statistics()
        assert set(self.tier.keys()) == set(self.model)
        assert statistics.used_bytes == sum(one.n_bytes for one in self.model.values()) <= LIMIT_BYTES
        assert statistics.n_pinned == len(self.pins)
        assert self.tier.check().n_corrupt == 0


def prop_the_ram_tier_agrees_with_a_dict() -> None:
    run_state_machine_as_test(RamAgreesWithADict)
