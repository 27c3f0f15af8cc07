"""Blocks, boundaries and snapshots on disk: put together, read together, and gone leaf before root."""

import contextlib
import errno
import shutil
import struct
from hashlib import blake2b
from pathlib import Path

import attrs
import pytest

from actorllama.errors import CacheError, TierFull
from actorllama.kvcache import DiskTier, EntryFacts, StoredEntry
from actorllama.telemetry import MemoryHandler, StrictBus
from tests.kvcache.samples import (
    FaultyFiles,
    QuickFiles,
    encoded,
    failing,
    path_of,
    snapshot_of,
    state_of,
    tier_at,
)

TURN = state_of()
KEYS = tuple(entry.key for entry in TURN)
TURN_BYTES = sum(entry.n_bytes for entry in TURN)
LOUD = frozenset(FaultyFiles.__dict__) - {"stat", "scan", "fstat"}


def tier_of(
    root: Path, n_bytes: int = 100 * TURN_BYTES, files: QuickFiles | FaultyFiles | None = None
) -> DiskTier:
    return DiskTier(root, limit_bytes=n_bytes, files=files or QuickFiles())


def test_a_turn_is_published_together_and_read_as_a_chain(
    root: Path, bus: StrictBus, heard: MemoryHandler
) -> None:
    tier = tier_at(root, bus=bus)
    report = tier.put_all(TURN)
    assert report.hows == dict.fromkeys(KEYS, "published")
    assert (report.evicted, report.missing) == ((), ())
    assert heard.names() == ["kvcache.entry.published"] * 5
    other = tier_at(root, bus=bus)
    assert other.get_chain(KEYS) == TURN
    assert [other.get(key) for key in KEYS] == list(TURN)
    assert set(other.put_all(TURN).hows.values()) == {"adopted"}


def test_a_listing_opens_no_file_and_tells_kind_and_parent(root: Path, bus: StrictBus) -> None:
    tier_at(root, bus=bus).put_all(TURN)
    files = FaultyFiles(strike=failing(0), only=frozenset({"open", "read"}))
    listing = tier_at(root, bus=bus, files=files).listing()
    assert files.calls == []
    blocks = {EntryFacts("block", key, None, 0) for key in KEYS[:3]}
    boundary = EntryFacts("boundary", KEYS[3], KEYS[2], 1)
    assert set(listing) == {*blocks, boundary, EntryFacts("snapshot", KEYS[4], None, 0)}


def test_a_chain_ends_before_what_is_missing_or_damaged(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus)
    tier.put_all(TURN)
    path = path_of(root, TURN[2])
    path.write_bytes(path.read_bytes()[:-1])
    assert tier.get_chain(KEYS) == TURN[:2]
    assert tier.get_chain(KEYS, held=KEYS[1:3]) == (TURN[0], *TURN[3:]), "what is held need not be there"
    assert tier.remove(KEYS[0])
    assert tier.get_chain(KEYS) == ()


def test_of_a_chain_the_last_goes_first_whether_it_was_written_or_read(root: Path, bus: StrictBus) -> None:
    for use in ("write", "read", "write more"):
        shutil.rmtree(root, ignore_errors=True)
        tier = tier_of(root, n_bytes=TURN_BYTES)
        match use:
            case "write":
                tier.put_all(TURN)
            case "read":
                for entry in reversed(TURN):
                    tier.put(entry)
                tier_of(root).get_chain(KEYS)
            case _:
                tier.put_all(TURN[:3])
                assert tier.put_all(TURN[3:], above=KEYS[:3]).missing == ()
        gone: list[str] = []
        for number in range(100, 103):
            gone += tier.put_all((snapshot_of(number, n_kv=0),)).evicted
        assert tuple(gone) == tuple(reversed(KEYS))[: len(gone)]
        assert len(gone) >= 2


def test_blocks_that_should_be_there_and_are_not_are_told(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus)
    tier.put_all(TURN[:2])
    tier.remove(KEYS[1])
    assert tier.put_all(TURN[2:], above=KEYS[:2]).missing == (KEYS[1],)


def test_names_of_rows_are_on_stable_storage_before_the_snapshot_has_its_name(root: Path) -> None:
    for key in KEYS:
        (root / key[:2]).mkdir(parents=True, exist_ok=True)
    files = FaultyFiles(strike=failing(0), only=frozenset({"link", "fsync"}))
    tier_of(root, files=files).put_all(TURN)
    n_shards = len({key[:2] for key in KEYS[:4]})
    of_files = ["fsync", "link"] * 4
    assert files.calls == [*of_files, "fsync", *["fsync"] * n_shards, "link", "fsync"]


def test_blocks_that_cannot_be_opened_are_told_as_missing(root: Path, bus: StrictBus) -> None:
    tier_at(root, bus=bus).put_all(TURN[:2])
    files = FaultyFiles(strike_at=0, strike=failing(errno.EACCES), only=frozenset({"open"}))
    assert tier_of(root, files=files).put_all(TURN[2:], above=KEYS[:2]).missing == (KEYS[0],)


def test_a_turn_that_does_not_fit_is_refused_whole(root: Path, bus: StrictBus, heard: MemoryHandler) -> None:
    tier = tier_of(root, n_bytes=TURN_BYTES - 1)
    with pytest.raises(TierFull) as caught:
        tier.put_all(TURN)
    assert caught.value.needed_bytes == TURN_BYTES
    assert (tier.keys(), tier.statistics().n_failed) == ((), 1)


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_what_one_codec_wrote_a_tier_of_another_reads(root: Path, bus: StrictBus, codec: str) -> None:
    turn = state_of(n_bytes=4096)
    DiskTier(root, limit_bytes=1 << 20, codec=codec, files=QuickFiles(), bus=bus).put_all(turn)
    for other in ("none", "zstd"):
        tier = DiskTier(root, limit_bytes=1 << 20, codec=other, files=QuickFiles(), bus=bus)
        assert tier.get_chain([entry.key for entry in turn]) == turn
        assert set(tier.put_all(turn).hows.values()) == {"adopted"}
    n_used = DiskTier(root, limit_bytes=1 << 20).statistics().used_bytes
    assert (n_used < sum(entry.n_bytes for entry in turn)) == (codec != "none")


def test_a_codec_that_does_not_exist_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="codec"):
        DiskTier(root, limit_bytes=1, codec="rar")


def test_a_file_of_version_1_is_a_miss_that_a_put_replaces(
    root: Path, bus: StrictBus, heard: MemoryHandler
) -> None:
    snapshot = snapshot_of()
    data = bytearray(encoded(snapshot))
    data[8:12] = struct.pack("<I", 1)
    data[24:32] = blake2b(data[:24], digest_size=8, person=b"ALkv prologue").digest()
    tier = tier_at(root, bus=bus)
    path_of(root, snapshot).parent.mkdir(parents=True)
    path_of(root, snapshot).write_bytes(data)
    assert tier.keys() == (snapshot.key,), "a name is not doubted before it is read"
    assert tier.get(snapshot.key) is None
    assert heard.names() == ["kvcache.entry.refused"]
    assert "format 1" in str(heard.facts[0].metadata["error"])
    assert (tier.keys(), tier.statistics().n_foreign) == ((), 1)
    assert tier.put(snapshot) == "replaced"
    assert (tier.get(snapshot.key), tier.keys()) == (snapshot, (snapshot.key,))


@pytest.mark.parametrize("wrong", ["kv", "block", f"{'0' * 32}.1.boundary", "boundary"])
def test_an_entry_under_the_name_of_another_kind_or_parent_is_set_aside(
    root: Path, bus: StrictBus, wrong: str
) -> None:
    boundary = TURN[3]
    tier = tier_at(root, bus=bus)
    tier.put(boundary)
    path = path_of(root, boundary)
    path.rename(path.with_name(f"{boundary.key}.{wrong}"))
    assert tier.get(boundary.key) is None
    assert tier.statistics().n_quarantined == (wrong != "boundary"), "what has no name of ours is not ours"


@pytest.mark.parametrize("entry", TURN)
def test_every_kind_is_checked_swept_and_set_aside_alike(
    root: Path, bus: StrictBus, entry: StoredEntry
) -> None:
    tier = tier_at(root, bus=bus)
    tier.put_all(TURN)
    path = path_of(root, entry)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    report = tier.check()
    assert (report.n_checked, report.n_corrupt) == (5, 1)
    assert not path.exists()
    assert tier.get(entry.key) is None
    assert tier.put_all(TURN).hows[entry.key] == "published"
    assert tier.get_chain(KEYS) == TURN


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_turn_survives_the_failure_of_any_call(tmp_path: Path, error: int) -> None:
    """Fail the n-th call for every n: whatever was published has all that it needs, nothing is left over."""
    for strike_at in range(2000):
        root = tmp_path / str(strike_at)
        for shard in {key[:2] for key in KEYS[::2]}:
            (root / shard).mkdir(parents=True, exist_ok=True)
        files = FaultyFiles(strike_at=strike_at, strike=failing(error), only=LOUD)
        tier = tier_of(root, files=files)
        is_announced = False
        with contextlib.suppress(CacheError):
            tier.put_all(TURN)
            is_announced = True
        is_over = len(files.calls) <= strike_at
        struck = "" if is_over else files.calls[strike_at]
        files.strike_at = -1
        stored = tier.get_chain(KEYS)
        assert stored == TURN[: len(stored)], struck
        assert len(stored) == 5 or not is_announced, struck
        assert set(tier.keys()) == set(KEYS[: len(stored)]), struck
        assert not list(root.rglob("*.tmp")) or struck == "unlink", struck
        tier.put_all(TURN)
        assert tier.get_chain(KEYS) == TURN, struck
        shutil.rmtree(root)
        if is_over:
            assert strike_at > 60
            return
    pytest.fail("a put makes no end of calls")


def test_a_root_deleted_underneath_is_made_again_by_the_next_turn(root: Path, bus: StrictBus) -> None:
    tier = tier_at(root, bus=bus)
    tier.put_all(TURN)
    shutil.rmtree(root)
    assert (tier.get_chain(KEYS), tier.listing()) == ((), ())
    assert tier.put_all(TURN[3:], above=KEYS[:3]).missing == KEYS[:3]
    assert tier.put_all(TURN).hows[KEYS[0]] == "published"
    assert tier.get_chain(KEYS) == TURN


def test_rows_of_another_mac_key_are_foreign(root: Path, bus: StrictBus) -> None:
    signed = tier_at(root, bus=bus, mac_key=b"0123456789abcdef")
    plain = tier_at(root, bus=bus)
    signed.put_all(TURN)
    assert signed.get_chain(KEYS) == TURN
    assert plain.get_chain(KEYS) == ()
    assert attrs.evolve(TURN[0]).key in signed.keys()  # noqa: SIM118 (a method, no dict)
