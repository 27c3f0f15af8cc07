"""What the tier does when the system fails it, at every single call."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from actorllama.errors import CacheError, TierFull
from actorllama.kvcache import Buffer, DiskTier
from actorllama.kvcache.layout import entry_name
from tests.kvcache.samples import FaultyFiles, QuickFiles, encoded, failing, snapshot_of

N_BYTES = snapshot_of().n_bytes
LOUD = frozenset(FaultyFiles.__dict__) - {"stat"}  # 257 calls of stat per refresh are tried apart


def temporaries(root: Path) -> list[Path]:
    return list(root.rglob("*.tmp"))


def fresh(_root: Path) -> None:
    """Leave the root as it is: missing."""


def damaged(root: Path) -> None:
    """Have a damaged file under the name."""
    path = root / entry_name(snapshot_of(1))
    path.parent.mkdir(parents=True)
    path.write_bytes(encoded(snapshot_of(1))[:-1])


def foreign(root: Path) -> None:
    """Have a file under the name that another key signed."""
    path = root / entry_name(snapshot_of(1))
    path.parent.mkdir(parents=True)
    path.write_bytes(encoded(snapshot_of(1), b"0123456789abcdef"))


def full(root: Path) -> None:
    """Have the root full of others."""
    tier = DiskTier(root, limit_bytes=3 * N_BYTES, files=QuickFiles())
    for number in (7, 8, 9):
        tier.put(snapshot_of(number))


def present(root: Path) -> None:
    """Have the very snapshot there."""
    DiskTier(root, limit_bytes=3 * N_BYTES, files=QuickFiles()).put(snapshot_of(1))


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("before", [fresh, damaged, foreign, full, present])
def test_a_put_survives_the_failure_of_any_call(
    tmp_path: Path, before: Callable[[Path], None], error: int
) -> None:
    """Fail the n-th call for every n: a typed error or success; nothing wrong, nothing left over."""
    snapshot = snapshot_of(1)
    for strike_at in range(1000):
        root = tmp_path / str(strike_at)
        before(root)
        files = FaultyFiles(strike_at=strike_at, strike=failing(error), only=LOUD)
        tier = DiskTier(root, limit_bytes=3 * N_BYTES, files=files)
        with contextlib.suppress(CacheError):
            tier.put(snapshot)
            assert DiskTier(root, limit_bytes=3 * N_BYTES).get(snapshot.key) == snapshot
        is_over = len(files.calls) <= strike_at
        struck = "" if is_over else files.calls[strike_at]

        files.strike_at = -1
        assert tier.get(snapshot.key) in (None, snapshot)
        assert temporaries(root) == [] or struck == "unlink", struck
        assert tier.put(snapshot) in ("published", "adopted", "replaced"), struck
        assert tier.get(snapshot.key) == snapshot
        assert tier.check().n_corrupt == 0
        assert tier.statistics().used_bytes <= 3 * N_BYTES
        if is_over:
            return
    pytest.fail("a put makes no end of calls")


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES, errno.EMFILE])
def test_a_get_survives_the_failure_of_any_call(tmp_path: Path, error: int) -> None:
    snapshot = snapshot_of(1)
    present(tmp_path)
    for strike_at in range(100):
        files = FaultyFiles(strike_at=strike_at, strike=failing(error))
        tier = DiskTier(tmp_path, limit_bytes=3 * N_BYTES, files=files)
        assert tier.get(snapshot.key) in (None, snapshot)
        if len(files.calls) <= strike_at:
            break
    else:
        pytest.fail("a get makes no end of calls")
    files.strike_at = -1
    assert tier.get(snapshot.key) == snapshot


@pytest.mark.slow
def test_reading_the_index_survives_the_failure_of_any_call(tmp_path: Path) -> None:
    present(tmp_path)
    for strike_at in range(1000):
        files = FaultyFiles(strike_at=strike_at, strike=failing(errno.EIO))
        tier = DiskTier(tmp_path, limit_bytes=3 * N_BYTES, files=files)
        with contextlib.suppress(CacheError):
            assert tier.keys() in ((), (snapshot_of(1).key,))
        is_over = len(files.calls) <= strike_at
        files.strike_at = -1
        assert tier.keys() == (snapshot_of(1).key,)
        if is_over:
            return


def test_a_failed_fsync_discards_the_file_and_is_not_tried_again(tmp_path: Path) -> None:
    files = FaultyFiles(strike_at=0, strike=failing(errno.EIO), only=frozenset({"fsync"}))
    (tmp_path / snapshot_of(1).key[:2]).mkdir()  # else the first fsync is that of a new directory
    tier = DiskTier(tmp_path, limit_bytes=3 * N_BYTES, files=files)
    with pytest.raises(CacheError, match="Input/output error"):
        tier.put(snapshot_of(1))
    assert files.calls == ["fsync"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / ".lock"]
    assert tier.statistics().n_failed == 1


def test_a_directory_that_cannot_be_synced_keeps_no_file_that_might_vanish(tmp_path: Path) -> None:
    files = FaultyFiles(strike_at=1, strike=failing(errno.EIO), only=frozenset({"fsync"}))
    (tmp_path / snapshot_of(1).key[:2]).mkdir()
    tier = DiskTier(tmp_path, limit_bytes=3 * N_BYTES, files=files)
    with pytest.raises(CacheError):
        tier.put(snapshot_of(1))
    assert tier.get(snapshot_of(1).key) is None


def test_a_file_is_on_stable_storage_before_it_has_its_name(tmp_path: Path) -> None:
    steps = frozenset({"write", "fsync", "link", "unlink"})
    files = FaultyFiles(strike=failing(0), only=steps)
    (tmp_path / snapshot_of(1).key[:2]).mkdir()
    DiskTier(tmp_path, limit_bytes=3 * N_BYTES, files=files).put(snapshot_of(1))
    order = [call for position, call in enumerate(files.calls) if call not in files.calls[:position]]
    assert order == ["write", "fsync", "link", "unlink"]
    assert files.calls[-1] == "fsync"


def test_a_file_system_without_links_is_served_by_renaming(tmp_path: Path) -> None:
    files = FaultyFiles(strike_at=0, strike=failing(errno.EPERM), only=frozenset({"link"}))
    tier = DiskTier(tmp_path, limit_bytes=3 * N_BYTES, files=files)
    assert tier.put(snapshot_of(1)) == "replaced"
    assert tier.get(snapshot_of(1).key) == snapshot_of(1)
    assert temporaries(tmp_path) == []


class Rival(QuickFiles):
    """Another process that publishes the same key just before we link ours."""

    def __init__(self, root: Path, data: bytes) -> None:
        self.path = root / entry_name(snapshot_of(1))
        self.data = data

    def link(self, source: str, target: str) -> None:
        self.path.write_bytes(self.data)
        super().link(source, target)


def test_a_rival_who_was_faster_is_adopted_if_sound_and_else_replaced(tmp_path: Path) -> None:
    for name, data, expected in [
        ("sound", encoded(snapshot_of(1)), "adopted"),
        ("damaged", b"garbage", "replaced"),
        ("foreign", encoded(snapshot_of(1), b"0123456789abcdef"), "replaced"),
    ]:
        root = tmp_path / name
        tier = DiskTier(root, limit_bytes=9 * N_BYTES, files=Rival(root, data))
        assert tier.put(snapshot_of(1)) == expected
        assert tier.get(snapshot_of(1).key) == snapshot_of(1)
        assert temporaries(root) == []


class Mender(QuickFiles):
    """Another process that replaces the damaged file while we are about to set it aside."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def flock(self, fd: int) -> None:
        mended = self.path.with_name("mended")
        mended.write_bytes(encoded(snapshot_of(1)))
        mended.rename(self.path)
        super().flock(fd)


def test_a_file_that_was_mended_meanwhile_is_not_set_aside(tmp_path: Path) -> None:
    damaged(tmp_path)
    path = tmp_path / entry_name(snapshot_of(1))
    tier = DiskTier(tmp_path, limit_bytes=9 * N_BYTES, files=Mender(path))
    assert tier.get(snapshot_of(1).key) is None
    assert tier.get(snapshot_of(1).key) == snapshot_of(1)


class Remover(QuickFiles):
    """Another process that removes the damaged file while we are about to set it aside."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def flock(self, fd: int) -> None:
        self.path.unlink(missing_ok=True)
        super().flock(fd)


def test_a_damaged_file_that_is_gone_already_is_a_miss(tmp_path: Path) -> None:
    damaged(tmp_path)
    path = tmp_path / entry_name(snapshot_of(1))
    tier = DiskTier(tmp_path, limit_bytes=9 * N_BYTES, files=Remover(path))
    assert tier.get(snapshot_of(1).key) is None
    assert not (tmp_path / "quarantine").exists() or not list((tmp_path / "quarantine").iterdir())


class Unsure(FaultyFiles):
    """The directory cannot be synced, and meanwhile another process has published anew."""

    def __init__(self, path: Path) -> None:
        super().__init__(strike_at=1, strike=self.publish_anew, only=frozenset({"fsync"}))
        self.path = path

    def publish_anew(self) -> None:
        anew = self.path.with_name("anew")
        anew.write_bytes(encoded(snapshot_of(1)))
        anew.rename(self.path)
        failing(errno.EIO)()


def test_what_another_process_published_is_not_taken_back_with_ours(tmp_path: Path) -> None:
    path = tmp_path / entry_name(snapshot_of(1))
    path.parent.mkdir()
    tier = DiskTier(tmp_path, limit_bytes=9 * N_BYTES, files=Unsure(path))
    with pytest.raises(CacheError):
        tier.put(snapshot_of(1))
    assert tier.get(snapshot_of(1).key) == snapshot_of(1)


class UnsureRival(Rival):
    """A rival was faster, and then the directory cannot be synced."""

    n_syncs = 0

    def fsync(self, fd: int) -> None:
        self.n_syncs += 1
        if self.n_syncs == 2:
            failing(errno.EIO)()


def test_what_was_adopted_is_not_taken_back(tmp_path: Path) -> None:
    (tmp_path / snapshot_of(1).key[:2]).mkdir()
    files = UnsureRival(tmp_path, encoded(snapshot_of(1)))
    tier = DiskTier(tmp_path, limit_bytes=9 * N_BYTES, files=files)
    with pytest.raises(CacheError):
        tier.put(snapshot_of(1))
    assert tier.get(snapshot_of(1).key) == snapshot_of(1)


class Twin(QuickFiles):
    """Another process makes every directory a moment before we do."""

    def mkdir(self, path: str) -> None:
        Path(path).mkdir()
        super().mkdir(path)


def test_a_directory_that_somebody_makes_meanwhile_is_welcome(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path / "cache", limit_bytes=9 * N_BYTES, files=Twin())
    assert tier.put(snapshot_of(1)) == "published"


def test_a_file_that_goes_while_its_directory_is_listed_is_left_out(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"")
    listing = QuickFiles().scan(str(tmp_path))
    first = next(listing).name
    (tmp_path / ("two" if first == "one" else "one")).unlink()
    assert list(listing) == []


class Idle(QuickFiles):
    """A disk that takes nothing and does not say why."""

    def write(self, fd: int, pieces: Sequence[Buffer]) -> int:
        return 0


def test_a_write_that_writes_nothing_is_a_failure_and_no_endless_loop(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, limit_bytes=9 * N_BYTES, files=Idle())
    with pytest.raises(CacheError, match="nothing was written"):
        tier.put(snapshot_of(1))
    assert temporaries(tmp_path) == []


# -- real file systems -------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of one megabyte; skip where that is not allowed."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here; the calls' failures are tried above")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_full_refuses_and_what_is_there_stays(small_disk: Path) -> None:
    tier = DiskTier(small_disk / "cache", limit_bytes=1 << 40)
    tier.put(snapshot_of(1, n_kv=400_000))
    for _ in range(3):
        with pytest.raises(TierFull):
            tier.put(snapshot_of(2, n_kv=700_000))
    assert temporaries(small_disk) == []
    assert tier.get(snapshot_of(1).key)
    assert tier.statistics().n_failed == 3
    assert tier.put(snapshot_of(3, n_kv=400_000)) == "published"
    assert tier.check().n_corrupt == 0


def test_a_root_that_may_only_be_read_is_read(small_disk: Path) -> None:
    DiskTier(small_disk, limit_bytes=1 << 40).put(snapshot_of(1))
    damaged(small_disk / "other")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    tier = DiskTier(small_disk, limit_bytes=1 << 40)
    assert tier.get(snapshot_of(1).key) == snapshot_of(1)
    assert tier.keys() == (snapshot_of(1).key,)
    with pytest.raises(CacheError, match="Read-only"):
        tier.put(snapshot_of(2))
    with pytest.raises(CacheError, match="Read-only"):
        tier.remove(snapshot_of(1).key)
    assert (tier.statistics().n_failed, tier.sweep()) == (1, 0)
    assert DiskTier(small_disk / "other", limit_bytes=1 << 40).get(snapshot_of(1).key) is None
