"""A root that goes, a clock that jumps, a process that died."""

import shutil
from pathlib import Path

import attrs
import pytest

from actorllama.errors import CacheError
from actorllama.kvcache import DiskTier, Owner
from actorllama.kvcache.directory import KnownFile
from actorllama.kvcache.layout import owner_of_temporary, temporary_name
from actorllama.kvcache.reserve import plan_files
from actorllama.kvcache.sweep import plan_sweep
from actorllama.telemetry import StrictBus
from tests.kvcache.samples import DEAD, LonelyFiles, QuickFiles, plant_temporary, snapshot_of, tier_at


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


def test_a_file_that_still_has_its_temporary_name_is_no_victim_for_that_would_free_nothing() -> None:
    def known(path: str, *, inode: int, used_ns: int, owner: Owner | None = None) -> KnownFile:
        return KnownFile(
            path=path,
            kind="entry" if owner is None else "temporary",
            key="",
            owner=owner,
            n_bytes=10,
            inode=inode,
            used_ns=used_ns,
        )

    files = [
        known("aa/oldest", inode=1, used_ns=1),
        known("aa/.oldest.tmp", inode=1, used_ns=1, owner=DEAD),
        known("aa/older", inode=2, used_ns=2),
        known("aa/newest", inode=3, used_ns=3),
    ]
    plan = plan_files(files, needed_bytes=10)
    assert plan is not None
    assert [one.path for one in plan] == ["aa/older"]
    assert plan_files(files, needed_bytes=21) is None
