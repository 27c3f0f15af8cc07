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
from actorllama.kvcache import Candidate, RamTier, Snapshot, decode, plan_eviction

TOKEN = st.integers(0, (1 << 31) - 1)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    tokens = draw(st.lists(TOKEN, min_size=1, max_size=50))
    return Snapshot(
        namespace=draw(st.text("0123456789abcdef", min_size=1, max_size=64)),
        tokens=tuple(tokens),
        n_prompt=draw(st.integers(0, len(tokens))),
        sampler=draw(st.binary(max_size=50)),
        kv=draw(st.binary(max_size=300)),
        logits=draw(st.none() | st.binary(min_size=1, max_size=50)),
        created_s=draw(st.floats(allow_nan=False, allow_infinity=False)),
        label=draw(st.text(max_size=30)),
    )


MAC_KEYS = st.none() | st.binary(min_size=16, max_size=64)


@given(snapshots(), MAC_KEYS)
def prop_decoding_what_was_encoded_gives_the_snapshot(snapshot: Snapshot, mac_key: bytes | None) -> None:
    data = b"".join(snapshot.encode(mac_key=mac_key))
    assert decode(data, mac_key=mac_key) == snapshot
    assert len(data) == snapshot.n_bytes


@given(snapshots(), MAC_KEYS, st.data())
def prop_damaged_bytes_are_never_a_snapshot(
    snapshot: Snapshot, mac_key: bytes | None, data: st.DataObject
) -> None:
    """Overwrite, cut, or insert anywhere: refused, unless nothing changed."""
    whole = b"".join(snapshot.encode(mac_key=mac_key))
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


class RamAgreesWithADict(RuleBasedStateMachine):
    """A tier is a dict that forgets, never what is pinned, and counts every byte."""

    def __init__(self) -> None:
        super().__init__()
        self.tier = RamTier(limit_bytes=3000)
        self.model: dict[str, Snapshot] = {}
        self.pins: dict[str, int] = {}

    def make(self, number: int, n_kv: int = 0) -> Snapshot:
        return Snapshot(
            namespace="ab", tokens=(number,), n_prompt=1, sampler=b"", kv=bytes(n_kv), created_s=0.0
        )

    @rule(number=KEYS, n_kv=st.integers(0, 3000))
    def put(self, number: int, n_kv: int) -> None:
        snapshot = self.make(number, n_kv)
        pinned_bytes = sum(self.model[key].n_bytes for key in self.pins if key != snapshot.key)
        is_possible = pinned_bytes + snapshot.n_bytes <= 3000
        try:
            evicted = self.tier.put(snapshot)
        except TierFull:
            assert not is_possible
            return
        assert is_possible
        assert not set(evicted) & set(self.pins)
        assert snapshot.key not in evicted
        for key in evicted:
            del self.model[key]
        self.model[snapshot.key] = snapshot

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
        assert statistics.used_bytes == sum(one.n_bytes for one in self.model.values()) <= 3000
        assert statistics.n_pinned == len(self.pins)
        assert self.tier.check().n_corrupt == 0


def prop_the_ram_tier_agrees_with_a_dict() -> None:
    run_state_machine_as_test(RamAgreesWithADict)
