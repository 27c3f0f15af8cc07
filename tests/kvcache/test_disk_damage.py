import os
from pathlib import Path

import pytest

from actorllama.telemetry import MemoryHandler, StrictBus
from tests.kvcache.samples import (
    DEAD,
    N_BYTES,
    LonelyFiles,
    encoded,
    path_of,
    plant_temporary,
    snapshot_of,
    tier_at,
)

MAC_KEY = b"0123456789abcdef"


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
    assert tier.get(other.key) is None
    assert tier.keys() == ()


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
