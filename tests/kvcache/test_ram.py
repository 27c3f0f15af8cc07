import attrs
import pytest

from actorllama.errors import TierFull
from actorllama.kvcache import Candidate, RamTier, Snapshot, plan_eviction
from actorllama.telemetry import MemoryHandler, StrictBus
from tests.kvcache.samples import snapshot_of

N_BYTES = snapshot_of().n_bytes


def tier_for(n_entries: float, bus: StrictBus | None = None) -> RamTier:
    return RamTier(limit_bytes=int(n_entries * N_BYTES), bus=bus or StrictBus())


def filled(tier: RamTier, n_entries: int) -> list[Snapshot]:
    snapshots = [snapshot_of(number) for number in range(10, 10 + n_entries)]
    for snapshot in snapshots:
        tier.put(snapshot)
    return snapshots


def test_what_was_put_is_there() -> None:
    tier = tier_for(2)
    snapshot = filled(tier, 1)[0]
    assert tier.get(snapshot.key) is snapshot
    assert tier.get("0" * 32) is None
    assert snapshot.key in tier
    assert tier.keys() == (snapshot.key,)


def test_what_was_used_longest_ago_goes_first() -> None:
    tier = tier_for(3)
    first, second, third = filled(tier, 3)
    assert tier.put(snapshot_of(1)) == (first.key,)
    assert tier.put(snapshot_of(2)) == (second.key,)
    assert third.key in tier


def test_what_was_used_again_outlives_what_was_not() -> None:
    tier = tier_for(2)
    first, second = filled(tier, 2)
    tier.get(first.key)
    assert tier.put(snapshot_of(1)) == (second.key,)


def test_what_was_popular_once_does_not_stay_for_ever() -> None:
    tier = tier_for(2)
    popular = filled(tier, 1)[0]
    for _ in range(100):
        tier.get(popular.key)
    n_puts = 0
    while popular.key in tier:
        tier.put(snapshot_of(100 + n_puts))
        tier.get(snapshot_of(100 + n_puts).key)
        n_puts += 1
        assert n_puts < 20, "it does not age"


def test_a_pinned_entry_stays_whatever_comes() -> None:
    tier = tier_for(2)
    first, second = filled(tier, 2)
    assert tier.pin(first.key)
    assert tier.put(snapshot_of(1)) == (second.key,)
    assert not tier.remove(first.key)

    tier.unpin(first.key)
    assert tier.remove(first.key)


def test_pins_are_counted() -> None:
    tier = tier_for(1)
    only = filled(tier, 1)[0]
    tier.pin(only.key)
    tier.pin(only.key)
    tier.unpin(only.key)
    with pytest.raises(TierFull):
        tier.put(snapshot_of(1))
    tier.unpin(only.key)
    with pytest.raises(ValueError, match="not pinned"):
        tier.unpin(only.key)
    assert not tier.pin("0" * 32)


def test_a_tier_full_of_pins_refuses_and_changes_nothing() -> None:
    bus = StrictBus()
    heard = MemoryHandler()
    bus.attach("test", (), heard, None)
    tier = tier_for(2.5, bus)
    first, second = filled(tier, 2)
    tier.pin(first.key)
    before = tier.statistics()
    with pytest.raises(TierFull) as caught:
        tier.put(snapshot_of(1, n_kv=64 + 2 * N_BYTES))
    assert caught.value.tier == "ram"
    assert attrs.evolve(tier.statistics(), n_refused=0) == before
    assert second.key in tier
    assert heard.names() == ["kvcache.entry.published"] * 2 + ["kvcache.put.failed"]


def test_a_snapshot_of_the_same_key_replaces_and_keeps_its_pins() -> None:
    tier = tier_for(2)
    first, second = filled(tier, 2)
    tier.pin(first.key)
    larger = attrs.evolve(first, kv=bytes(100))
    assert tier.put(larger) == (second.key,)
    assert tier.get(first.key) is larger
    assert tier.statistics().used_bytes == larger.n_bytes
    assert tier.statistics().n_pinned == 1


def test_eviction_is_told() -> None:
    bus = StrictBus()
    heard = MemoryHandler()
    bus.attach("test", ("kvcache", "entry", "evicted"), heard, None)
    tier = tier_for(1, bus)
    first = filled(tier, 1)[0]
    tier.put(snapshot_of(1))
    assert [fact.metadata for fact in heard.facts] == [{"tier": "ram", "key": first.key}]
    assert tier.statistics().evicted_bytes == first.n_bytes


def test_a_check_drops_what_is_not_what_its_key_says() -> None:
    tier = tier_for(3)
    first, second = filled(tier, 2)
    tier._entries[first.key].entry = second
    report = tier.check()
    assert (report.n_checked, report.n_corrupt) == (2, 1)
    assert tier.keys() == (second.key,)
    assert tier.statistics().used_bytes == second.n_bytes


def test_a_tier_tells_how_full_it_is() -> None:
    tier = tier_for(2)
    filled(tier, 1)
    tier.get("0" * 32)
    assert repr(tier) == f"<RamTier 1 entries, {N_BYTES} of {2 * N_BYTES} bytes>"
    assert tier.statistics().n_misses == 1
    with pytest.raises(ValueError, match="limit_bytes"):
        RamTier(limit_bytes=-1)


def test_a_plan_takes_the_least_worth_and_no_more_than_it_needs() -> None:
    candidates = [Candidate(key=str(n), n_bytes=10, rank=(float(n),)) for n in (3, 1, 2)]
    plan = plan_eviction(candidates, needed_bytes=11)
    assert plan is not None
    assert [victim.key for victim in plan] == ["1", "2"]
    assert plan_eviction(candidates, needed_bytes=0) == ()
    assert plan_eviction(candidates, needed_bytes=31) is None


def test_what_the_policy_declines_is_counted_and_told_and_changes_nothing() -> None:
    bus = StrictBus()
    heard = MemoryHandler()
    bus.attach("test", ("kvcache", "entry", "declined"), heard, None)
    tier = RamTier(limit_bytes=2 * N_BYTES, policy="lru+second-sight", bus=bus)
    kept = filled(tier, 2)
    assert tier.put(snapshot_of(1)) is None
    assert set(tier.keys()) == {snapshot.key for snapshot in kept}
    assert tier.statistics().n_declined == 1
    assert [fact.metadata for fact in heard.facts] == [{"tier": "ram", "key": snapshot_of(1).key}]
    assert tier.put(snapshot_of(1)) == (kept[0].key,), "it was seen before"


def test_a_look_is_no_use() -> None:
    tier = tier_for(2)
    first, second = filled(tier, 2)
    assert tier.peek(first.key) is first
    assert tier.peek("0" * 32) is None
    assert tier.put(snapshot_of(1)) == (first.key,)
    assert (second.key in tier, tier.statistics().n_misses) == (True, 0)
