import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from actorllama.errors import CacheError, TierFull
from actorllama.kvcache import DiskTier, FileFacts, FileSystem, Owner, Snapshot
from actorllama.kvcache.directory import KnownFile
from actorllama.kvcache.layout import entry_name, owner_of_temporary, temporary_name
from actorllama.kvcache.sweep import plan_sweep
from actorllama.telemetry import MemoryHandler, StrictBus
from tests.kvcache.samples import LonelyFiles, QuickFiles, encoded, snapshot_of

N_BYTES = snapshot_of().n_bytes
MAC_KEY = b"0123456789abcdef"


@pytest.fixture
def bus() -> StrictBus:
    return StrictBus()


@pytest.fixture
def heard(bus: StrictBus) -> MemoryHandler:
    memory = MemoryHandler()
    bus.attach("test", (), memory, None)
    return memory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "some" / "cache"


def tier_at(
    root: Path,
    *,
    bus: StrictBus,
    n_entries: int = 100,
    mac_key: bytes | None = None,
    files: FileSystem | None = None,
) -> DiskTier:
    return DiskTier(
        root, limit_bytes=n_entries * N_BYTES, bus=bus, mac_key=mac_key, files=files or QuickFiles()
    )


def path_of(root: Path, snapshot: Snapshot) -> Path:
    return root / entry_name(snapshot.key)


def plant_temporary(root: Path, owner: Owner, n_bytes: int = N_BYTES) -> Path:
    path = root / temporary_name("ab" * 16, owner)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(n_bytes))
    return path


DEAD = Owner(boot="01234567", pid_space=1, pid=1, started=1)


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


# -- damage ----------------------------------------------------------------------------------------


def test_a_damaged_file_is_a_miss_an_event_and_set_aside(
    root: Path, bus: StrictBus, heard: MemoryHandler
) -> None:
    snapshot = snapshot_of()
    tier = tier_at(root, bus=bus)
    tier.put(snapshot)
    data = bytearray(path_of(root, snapshot).read_bytes())
    data[-1] ^= 1
    path_of(root, snapshot).write_bytes(data)

    assert tier.get(snapshot.key) is None
    assert not path_of(root, snapshot).exists()
    assert len(list((root / "quarantine").iterdir())) == 1
    assert heard.names()[-2:] == ["kvcache.entry.quarantined", "kvcache.entry.refused"]
    assert heard.facts[-2].metadata["section"] == "META"
    assert tier.statistics().n_quarantined == 1

    assert tier.put(snapshot) == "published"
    assert tier.get(snapshot.key) == snapshot


def test_a_file_cut_off_at_any_byte_of_its_header_is_a_miss_and_set_aside(root: Path, bus: StrictBus) -> None:
    snapshot = snapshot_of()
    tier = tier_at(root, bus=bus, n_entries=1000)
    tier.put(snapshot)
    data = path_of(root, snapshot).read_bytes()
    for n_left in (*range(385), len(data) - 1):
        path_of(root, snapshot).write_bytes(data[:n_left])
        assert tier.get(snapshot.key) is None, n_left
        assert not path_of(root, snapshot).exists()
    assert tier.statistics().n_corrupt == 386


def test_one_flipped_bit_anywhere_in_a_file_is_a_miss(root: Path, bus: StrictBus) -> None:
    snapshot = snapshot_of()
    tier = tier_at(root, bus=bus, n_entries=10_000)
    tier.put(snapshot)
    data = path_of(root, snapshot).read_bytes()
    for offset in range(len(data)):
        damaged = bytearray(data)
        damaged[offset] ^= 1 << offset % 8
        path_of(root, snapshot).write_bytes(damaged)
        assert tier.get(snapshot.key) is None, offset


def test_a_put_over_a_damaged_file_makes_it_good(root: Path, bus: StrictBus) -> None:
    snapshot = snapshot_of()
    tier = tier_at(root, bus=bus)
    tier.put(snapshot)
    path_of(root, snapshot).write_bytes(b"garbage")
    assert tier.put(snapshot) == "published"
    assert tier.get(snapshot.key) == snapshot


def test_a_check_sets_aside_what_is_damaged_and_spares_what_is_foreign(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus)
    for number in range(5):
        tier.put(snapshot_of(number))
    path_of(root, snapshot_of(1)).write_bytes(b"garbage")
    path_of(root, snapshot_of(2)).write_bytes(encoded(snapshot_of(2), MAC_KEY))
    plant_temporary(root, DEAD)
    os.utime(path_of(root, snapshot_of(3)), ns=(5, 5))

    report = tier_at(root, bus=bus, files=LonelyFiles()).check()
    assert (report.n_checked, report.n_corrupt, report.n_foreign, report.n_swept) == (5, 1, 1, 1)
    assert path_of(root, snapshot_of(2)).exists()
    assert path_of(root, snapshot_of(3)).stat().st_mtime_ns == 5, "a check is no use"
    assert tier.check().n_corrupt == 0


def test_a_file_of_another_mac_key_is_a_miss_that_stays_and_a_put_replaces_it(
    root: Path, bus: StrictBus, heard: MemoryHandler
) -> None:
    snapshot = snapshot_of()
    signed = tier_at(root, bus=bus, mac_key=MAC_KEY)
    plain = tier_at(root, bus=bus)
    signed.put(snapshot)
    assert signed.get(snapshot.key) == snapshot
    assert plain.get(snapshot.key) is None
    assert heard.names()[-1] == "kvcache.entry.refused"
    assert plain.keys() == ()
    assert plain.statistics().n_foreign == 1
    assert path_of(root, snapshot).exists()

    assert plain.put(snapshot) == "replaced"
    assert (plain.get(snapshot.key), signed.get(snapshot.key)) == (snapshot, None)


def test_a_file_under_the_name_of_another_key_is_a_miss(root: Path, bus: StrictBus) -> None:
    one, other = snapshot_of(1), snapshot_of(2)
    tier = tier_at(root, bus=bus)
    tier.put(one)
    path_of(root, other).parent.mkdir(exist_ok=True)
    path_of(root, one).rename(path_of(root, other))
    assert tier.keys() == ()
    assert tier.get(other.key) is None


def test_a_file_larger_than_the_limit_is_never_read(root: Path, bus: StrictBus) -> None:
    snapshot = snapshot_of(n_kv=10 * N_BYTES)
    tier_at(root, bus=bus).put(snapshot)
    assert tier_at(root, bus=bus, n_entries=2).get(snapshot.key) is None
    assert path_of(root, snapshot).exists()


@pytest.mark.parametrize("kind", ["directory", "fifo", "symlink"])
def test_what_is_no_file_is_a_miss_and_no_trap(root: Path, bus: StrictBus, kind: str, tmp_path: Path) -> None:
    snapshot = snapshot_of()
    path = path_of(root, snapshot)
    path.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(encoded(snapshot))
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case _:
            path.symlink_to(tmp_path / "elsewhere")
    tier = tier_at(root, bus=bus)
    assert tier.get(snapshot.key) is None
    assert tier.put(snapshot) in ("published", "replaced")
    assert tier.get(snapshot.key) == snapshot
    assert (tmp_path / "elsewhere").read_bytes() == encoded(snapshot)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 32, "0" * 31, "0" * 32 + "\n"])
def test_what_is_no_key_is_a_miss_and_never_a_path(root: Path, bus: StrictBus, key: str) -> None:
    tier = tier_at(root, bus=bus)
    assert tier.get(key) is None
    assert not tier.remove(key)


def test_files_that_are_not_ours_are_neither_counted_nor_touched(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus, n_entries=1)
    tier.put(snapshot_of(1))
    stranger = path_of(root, snapshot_of(1)).with_name("README.txt")
    stranger.write_bytes(bytes(10 * N_BYTES))
    tier.put(snapshot_of(2))
    assert stranger.exists()
    assert tier.statistics().used_bytes == N_BYTES


def test_what_was_set_aside_goes_before_anything_that_may_serve(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus, n_entries=3)
    for number in (1, 2, 3):
        tier.put(snapshot_of(number))
    path = path_of(root, snapshot_of(3))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert tier.get(snapshot_of(3).key) is None
    tier.put(snapshot_of(4))
    assert set(tier.keys()) == {snapshot_of(number).key for number in (1, 2, 4)}
    assert tier.statistics().n_quarantined == 0


# -- a root that goes, a clock that jumps, a process that died ---------------------------------------


def test_a_root_deleted_underneath_is_empty_and_made_again(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus)
    tier.put(snapshot_of(1))
    shutil.rmtree(root.parent)
    assert (tier.get(snapshot_of(1).key), tier.keys(), tier.remove(snapshot_of(1).key)) == (None, (), False)
    assert (tier.check().n_checked, tier.statistics().used_bytes) == (0, 0)
    assert not root.exists()
    assert tier.put(snapshot_of(1)) == "published"
    assert tier.get(snapshot_of(1).key) == snapshot_of(1)


def test_a_root_that_is_a_file_is_an_error_that_says_so(tmp_path: Path, bus: StrictBus) -> None:
    (tmp_path / "file").write_bytes(b"")
    tier = tier_at(tmp_path / "file", bus=bus)
    assert tier.get(snapshot_of().key) is None
    with pytest.raises(CacheError, match="file"):
        tier.put(snapshot_of())
    assert tier.statistics().n_failed == 1


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_clock_that_jumps_loses_nothing_that_was_published(
    root: Path, bus: StrictBus, jump_s: float
) -> None:
    files = LonelyFiles(is_alive=True)
    tier = tier_at(root, bus=bus, files=files)
    tier.put(snapshot_of(1))
    unfinished = plant_temporary(root, DEAD)
    files.jump_s = jump_s
    assert tier.sweep() == 1
    assert not unfinished.exists()
    assert tier.get(snapshot_of(1).key)
    assert tier.put(snapshot_of(2)) == "published"


@pytest.mark.parametrize(("is_alive", "goes"), [(False, True), (True, False), (None, False)])
def test_a_young_unfinished_file_goes_only_if_its_owner_is_known_to_be_dead(
    root: Path, bus: StrictBus, is_alive: bool | None, goes: bool
) -> None:
    tier = tier_at(root, bus=bus, files=LonelyFiles(is_alive=is_alive))
    unfinished = plant_temporary(root, DEAD)
    assert tier.sweep() == int(goes)
    assert unfinished.exists() is not goes
    assert tier.statistics().n_swept == int(goes)


def test_room_is_first_sought_among_unfinished_files_of_the_dead(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus, n_entries=2, files=LonelyFiles())
    tier.put(snapshot_of(1))
    plant_temporary(root, DEAD)
    tier.put(snapshot_of(2))
    assert set(tier.keys()) == {snapshot_of(1).key, snapshot_of(2).key}


def test_an_owner_is_asked_after_once_however_many_files_it_has() -> None:
    files = [
        KnownFile(path=str(n), kind="temporary", key="", owner=DEAD, n_bytes=1, inode=n, used_ns=0)
        for n in range(5)
    ]
    asked: list[Owner] = []

    def is_running(owner: Owner) -> bool:
        asked.append(owner)
        return False

    assert plan_sweep(files, is_running=is_running, now_s=0.0, temporary_age_s=10.0) == tuple(files)
    assert asked == [DEAD]


def test_a_process_knows_itself_and_who_is_dead_and_whom_it_cannot_judge() -> None:
    files = QuickFiles()
    me = files.owner()
    assert owner_of_temporary(temporary_name("ab" * 16, me).partition("/")[2]) == me
    assert owner_of_temporary(".x.tmp") is None
    assert files.is_running(me) is True
    assert files.is_running(attrs.evolve(me, started=me.started + 1)) is False
    assert files.is_running(attrs.evolve(me, pid=2**30)) is False
    assert files.is_running(attrs.evolve(me, boot="01234567")) is None
    assert files.is_running(attrs.evolve(me, pid_space=1)) is None


class WithoutProc(QuickFiles):
    """A system that does not tell about processes."""

    proc = Path("/nonexistent")


def test_without_proc_nobody_is_judged(root: Path, bus: StrictBus) -> None:
    files = WithoutProc()
    assert files.is_running(files.owner()) is None
    tier = tier_at(root, bus=bus, files=files)
    unfinished = plant_temporary(root, files.owner())
    assert tier.sweep() == 0
    assert unfinished.exists()
    assert tier.put(snapshot_of(1)) == "published"


def test_a_name_that_no_process_wrote_is_no_owner() -> None:
    assert Owner.from_name("nobody") is None


def test_a_tier_names_its_root_and_refuses_senseless_settings(root: Path, bus: StrictBus) -> None:
    assert str(root) in repr(tier_at(root, bus=bus))
    with pytest.raises(ValueError, match="limit_bytes"):
        DiskTier(root, limit_bytes=-1)
    with pytest.raises(ValueError, match="16 to 64"):
        DiskTier(root, limit_bytes=1, mac_key=b"short")
    assert not root.exists()


# -- the index ---------------------------------------------------------------------------------------


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


def test_an_index_reads_each_header_once_and_a_directory_only_until_it_has_settled(
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
    assert files.n_opened == 1

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
    tier = tier_at(root, bus=bus)
    began_s = time.process_time()
    assert len(tier.keys()) == n_entries
    assert time.process_time() - began_s <= n_entries * 50e-6
