import stat
from pathlib import Path

import attrs
import pytest

from actorllama.errors import TierFull
from actorllama.telemetry import MemoryHandler, StrictBus
from tests.kvcache.samples import DEAD, N_BYTES, LonelyFiles, path_of, plant_temporary, snapshot_of, tier_at


def test_what_was_put_is_there_for_every_tier_on_the_root(root: Path, bus: StrictBus) -> None:
    snapshot = snapshot_of()
    tier = tier_at(root, bus=bus)
    other = tier_at(root, bus=bus)
    assert (tier.get(snapshot.key), tier.keys()) == (None, ())
    assert tier.put(snapshot) == "published"
    assert tier.get(snapshot.key) == other.get(snapshot.key) == snapshot
    assert tier.keys() == other.keys() == (snapshot.key,)
    assert other.remove(snapshot.key)
    assert not tier.remove(snapshot.key)
    assert tier.get(snapshot.key) is None


def test_a_file_is_for_its_owner_only_and_no_other_file_remains(root: Path, bus: StrictBus) -> None:
    snapshot = snapshot_of()
    tier_at(root, bus=bus).put(snapshot)
    path = path_of(root, snapshot)
    assert {one.name for one in root.rglob("*") if one.is_file()} == {".lock", path.name}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(one.stat().st_mode) for one in (path.parent, root, root.parent)} == {0o700}


def test_who_comes_second_adopts(root: Path, bus: StrictBus, heard: MemoryHandler) -> None:
    first = snapshot_of(label="first")
    tier = tier_at(root, bus=bus)
    tier.put(first)
    assert tier.put(attrs.evolve(first, label="second")) == "adopted"
    assert tier.get(first.key) == first
    assert [fact.metadata["how"] for fact in heard.facts] == ["published", "adopted"]


def test_an_index_is_rebuilt_from_the_headers(root: Path, bus: StrictBus) -> None:
    snapshots = [snapshot_of(number) for number in range(30)]
    for snapshot in snapshots:
        tier_at(root, bus=bus).put(snapshot)
    later = tier_at(root, bus=bus)
    assert later.sweep() == 0
    assert sorted(later.keys()) == sorted(snapshot.key for snapshot in snapshots)
    assert later.statistics().used_bytes == sum(snapshot.n_bytes for snapshot in snapshots)


def test_what_was_used_longest_ago_goes_first_whoever_used_it(root: Path, bus: StrictBus) -> None:
    snapshots = [snapshot_of(number) for number in range(3)]
    tier = tier_at(root, bus=bus, n_entries=3)
    for snapshot in snapshots:
        tier.put(snapshot)
    assert tier_at(root, bus=bus).get(snapshots[0].key)
    tier.put(snapshot_of(9))
    kept = {snapshots[0].key, snapshots[2].key, snapshot_of(9).key}
    assert set(tier.keys()) == kept
    statistics = tier.statistics()
    assert statistics.n_evicted == 1
    assert statistics.used_bytes == 3 * N_BYTES


def test_the_limit_holds_for_all_tiers_together(root: Path, bus: StrictBus) -> None:
    tiers = [tier_at(root, bus=bus, n_entries=4) for _ in range(3)]
    for number in range(24):
        tiers[number % 3].put(snapshot_of(number))
        n_used = sum(one.stat().st_size for one in root.rglob("*") if one.is_file())
        assert n_used <= 4 * N_BYTES


def test_a_snapshot_larger_than_the_limit_is_refused_and_evicts_nothing(
    root: Path, bus: StrictBus, heard: MemoryHandler
) -> None:
    tier = tier_at(root, bus=bus, n_entries=2)
    tier.put(snapshot_of(1))
    with pytest.raises(TierFull):
        tier.put(snapshot_of(2, n_kv=3 * N_BYTES))
    assert tier.keys() == (snapshot_of(1).key,)
    assert tier.statistics().n_failed == 1
    assert heard.names()[-1] == "kvcache.put.failed"


def test_files_being_written_by_others_count_and_are_not_evicted(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus, n_entries=2, files=LonelyFiles(is_alive=True))
    tier.put(snapshot_of(1))
    plant_temporary(root, DEAD, 2 * N_BYTES)
    with pytest.raises(TierFull):
        tier.put(snapshot_of(2))
    assert tier.get(snapshot_of(1).key)
