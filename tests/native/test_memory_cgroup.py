"""Every limit from our cgroup to the root is read, whatever version rules; files may vanish at any time."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorllama.native.memory import HOST, MemoryReading
from actorllama.native.memory_cgroup import CgroupSource

MIB = 1 << 20


class FakeCgroups:
    """A /proc and a mounted hierarchy of plain files."""

    def __init__(self, folder: Path, *, version: int, own: str = "/a/b", inside: str = "/") -> None:
        self.proc = folder / "proc"
        self.root = folder / "cgroup fs"
        self.version = version
        (self.proc / "self").mkdir(parents=True)
        mount = str(self.root).replace(" ", "\\040")
        kind = "cgroup2 cgroup2 rw" if version == 2 else "cgroup cgroup rw,memory"
        lines = ["22 1 0:1 / /proc rw - proc proc rw", "garbage", f"31 23 0:29 {inside} {mount} rw - {kind}"]
        (self.proc / "self" / "mountinfo").write_text("\n".join(lines) + "\n")
        self.move(own)
        self.add("a/b")

    def move(self, own: str) -> None:
        line = f"0::{own}" if self.version == 2 else f"4:memory:{own}"
        (self.proc / "self" / "cgroup").write_text(f"9:name=systemd:/\n{line}\n")

    def add(self, name: str) -> Path:
        level = self.root / name
        level.mkdir(parents=True, exist_ok=True)
        return level

    def set(self, name: str, **files: object) -> None:
        """Write files of a cgroup: ``memory_max=3`` is ``memory.max``."""
        for key, content in files.items():
            (self.root / name / key.replace("_", ".", 1)).write_text(f"{content}\n")

    def read(self) -> tuple[MemoryReading, ...]:
        return CgroupSource(proc=self.proc).read().readings


@pytest.fixture
def two(tmp_path: Path) -> FakeCgroups:
    """Give a version 2 hierarchy: /a/b without limit below /a with one."""
    fake = FakeCgroups(tmp_path, version=2)
    fake.set("a", memory_current=300 * MIB, memory_max=400 * MIB)
    fake.set("a/b", memory_current=200 * MIB, memory_max="max")
    return fake


def figures(readings: tuple[MemoryReading, ...]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for reading in readings:
        assert reading.domain == HOST
        assert reading.used_bytes is not None
        assert reading.limit_bytes is not None
        found.append((reading.source, reading.used_bytes // MIB, reading.limit_bytes // MIB))
    return found


def test_a_limit_above_us_is_ours_too(two: FakeCgroups) -> None:
    assert figures(two.read()) == [("cgroup2 /a", 300, 400)]


def test_each_level_with_a_limit_is_a_reading_our_own_first(two: FakeCgroups) -> None:
    two.set("a/b", memory_max=250 * MIB)
    assert figures(two.read()) == [("cgroup2 /a/b", 200, 250), ("cgroup2 /a", 300, 400)]


def test_the_throttle_counts_where_it_is_below_the_limit(two: FakeCgroups) -> None:
    two.set("a", memory_high=350 * MIB)
    assert figures(two.read()) == [("cgroup2 /a", 300, 350)]
    two.set("a", memory_high=500 * MIB)
    assert figures(two.read()) == [("cgroup2 /a", 300, 400)]


def test_file_pages_that_the_kernel_can_take_back_are_not_used(two: FakeCgroups) -> None:
    stat = {
        "anon": 100,
        "active_file": 60,
        "inactive_file": 80,
        "file_mapped": 50,
        "file_dirty": 7,
        "file_writeback": 3,
    }
    lines = [f"{key} {value * MIB}" for key, value in stat.items()]
    two.set("a", memory_stat="\n".join([*lines, f"slab_reclaimable {5 * MIB}", "odd line here", "x -1"]))
    assert figures(two.read()) == [("cgroup2 /a", 300 - (60 + 80 - 50 - 7 - 3) - 5, 400)]


def test_stalls_of_a_cgroup_come_with_its_reading(two: FakeCgroups) -> None:
    two.set("a", memory_pressure="some avg10=12.50 avg60=1.00 avg300=0.00 total=9\nfull avg10=3.00 total=1")
    assert [reading.stall_share for reading in two.read()] == [0.125]


@pytest.mark.parametrize("text", ["", "some", "some avg10=", "some avg10=nan", "some avg10=101", "\0\xff"])
def test_a_pressure_file_of_nonsense_tells_nothing(text: str, two: FakeCgroups) -> None:
    two.set("a", memory_pressure=text)
    assert [reading.stall_share for reading in two.read()] == [None]


@pytest.mark.parametrize("text", ["", "lots", "-5", "1e9", "\uff11\uff12", "1_000", "9" * 40, "0"])
def test_a_limit_of_nonsense_is_no_limit(text: str, two: FakeCgroups) -> None:
    two.set("a", memory_max=text)
    assert two.read() == ()


def test_a_cgroup_that_vanishes_is_not_read_and_the_rest_is(two: FakeCgroups) -> None:
    two.set("a/b", memory_max=250 * MIB)
    source = CgroupSource(proc=two.proc)
    assert len(source.read().readings) == 2
    (two.root / "a/b/memory.current").unlink()
    assert figures(source.read().readings) == [("cgroup2 /a", 300, 400)]
    (two.root / "a/memory.max").unlink()
    assert source.read().why_not == "no cgroup above this process has a memory limit"


def test_a_process_that_is_moved_is_followed(two: FakeCgroups) -> None:
    source = CgroupSource(proc=two.proc)
    assert figures(source.read().readings) == [("cgroup2 /a", 300, 400)]
    two.add("c")
    two.set("c", memory_current=5 * MIB, memory_max=10 * MIB)
    two.move("/c")
    assert figures(source.read().readings) == [("cgroup2 /c", 5, 10)]


def test_a_container_sees_its_own_cgroup_as_the_root(tmp_path: Path) -> None:
    fake = FakeCgroups(tmp_path, version=2, own="/docker/x/inner", inside="/docker/x")
    fake.add("inner")
    fake.set("", memory_current=3 * MIB, memory_max=4 * MIB)
    assert figures(fake.read()) == [("cgroup2 /", 3, 4)]


@pytest.mark.parametrize("own", ["/../elsewhere", "/not/mounted/here"])
def test_a_cgroup_out_of_sight_leaves_what_can_be_seen(own: str, tmp_path: Path) -> None:
    fake = FakeCgroups(tmp_path, version=2, own=own)
    fake.set("", memory_current=3 * MIB, memory_max=4 * MIB)
    assert figures(fake.read()) == [("cgroup2 /", 3, 4)]


def test_version_one_is_read_where_it_counts_memory(tmp_path: Path) -> None:
    fake = FakeCgroups(tmp_path, version=1)
    stat = (
        f"inactive_file 9\ntotal_inactive_file {30 * MIB}\ntotal_active_file 0\ntotal_mapped_file {10 * MIB}"
    )
    fake.set("a/b", memory_usage_in_bytes=80 * MIB, memory_limit_in_bytes=100 * MIB, memory_stat=stat)
    fake.set("a", memory_usage_in_bytes=90 * MIB, memory_limit_in_bytes=9223372036854771712)
    assert figures(fake.read()) == [("cgroup1 /a/b", 60, 100)]


def test_without_a_proc_or_a_hierarchy_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert "cannot be read" in CgroupSource(proc=tmp_path).read().why_not
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/\n")
    assert "no cgroup hierarchy" in CgroupSource(proc=tmp_path).read().why_not


# -- for real ---------------------------------------------------------------------------------------

GROWING = """
import sys
from pathlib import Path
from actorllama.native.memory_cgroup import CgroupSource
Path(sys.argv[1], "cgroup.procs").write_text("0")
source = CgroupSource()
def own():
    for reading in source.read().readings:
        if reading.source.endswith(sys.argv[2]):
            return reading.used_bytes, reading.limit_bytes
    raise SystemExit("no reading of the new cgroup")
before, limit = own()
block = bytearray(64 << 20)
for place in range(0, len(block), 4096):
    block[place] = 1
held, _ = own()
del block
after, _ = own()
print(before, held, after, limit)
"""


def writable_cgroup() -> Path | None:
    """Make a cgroup of our own that counts memory, if this machine lets us."""
    name = f"actorllama-test-{os.getpid()}"
    for parent in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        level = parent / name
        try:
            level.mkdir()
        except OSError:
            continue
        if any((level / file).exists() for file in ("memory.limit_in_bytes", "memory.max")):
            return level
        level.rmdir()
    return None


@pytest.fixture
def limited() -> Iterator[Path]:
    """Give a cgroup limited to 256 MiB; it is taken away afterwards."""
    level = writable_cgroup()
    if level is None:
        pytest.skip("this machine lets us make no cgroup that counts memory")
    try:
        file = "memory.max" if (level / "memory.max").exists() else "memory.limit_in_bytes"
        (level / file).write_text(str(256 * MIB))
        yield level
    finally:
        level.rmdir()


@pytest.mark.slow
def test_a_process_in_a_real_cgroup_sees_its_own_growth(limited: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", GROWING, str(limited), limited.name],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=environment,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    before, held, after, limit = map(int, done.stdout.split())
    assert limit == 256 * MIB
    assert abs(held - before - 64 * MIB) < 4 * MIB
    assert after - before < 4 * MIB
    assert limit % mmap.PAGESIZE == 0
