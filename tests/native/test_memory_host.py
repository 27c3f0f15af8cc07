"""The machine's memory, its stalls, a process's own limit: read where they are, else absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from actorllama.native.memory import HOST
from actorllama.native.memory_host import ProcessLimitSource, StallSource, SystemSource

MIB = 1 << 20


def test_the_machines_memory_is_what_psutil_says() -> None:
    (reading,) = SystemSource().read().readings
    assert reading.domain == HOST
    assert reading.limit_bytes == psutil.virtual_memory().total
    assert reading.used_share is not None
    assert 0 < reading.used_share < 1


def test_the_kernels_table_is_enough_where_it_has_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\nHugePages_Total: 0\n")
    (reading,) = SystemSource(meminfo=path).read().readings
    assert (reading.used_bytes, reading.limit_bytes) == (750 << 10, 1000 << 10)


@pytest.mark.parametrize(
    "text",
    ["", "MemTotal: 9 kB\n", "MemTotal: 9 kB\nMemAvailable: 10 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n"],
)
def test_a_table_that_makes_no_sense_is_left_to_psutil(text: str, tmp_path: Path) -> None:
    path = tmp_path / "meminfo"
    path.write_text(text)
    (reading,) = SystemSource(meminfo=path).read().readings
    assert reading.limit_bytes == psutil.virtual_memory().total


def test_stalls_are_a_share_of_the_last_ten_seconds(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_text("full avg10=9.00 total=1\nsome avg10=25.00 avg60=1.00 avg300=0.00 total=9\n")
    (reading,) = StallSource(path=path).read().readings
    assert (reading.stall_share, reading.used_share) == (0.25, None)


@pytest.mark.parametrize("text", ["", "some avg60=1.00", "some avg10=x", "none avg10=1.00", "\0" * 9])
def test_stalls_that_cannot_be_read_are_absent(text: str, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_text(text)
    report = StallSource(path=path).read()
    assert (report.is_available, report.why_not) == (False, f"{path} tells no pressure")
    assert not StallSource(path=tmp_path / "nowhere").read().is_available


LIMITED = """
import mmap, resource
from actorllama.native.memory_host import ProcessLimitSource
source = ProcessLimitSource()
assert not source.read().is_available
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, resource.RLIM_INFINITY))
before = source.read().readings[0]
block = mmap.mmap(-1, 64 << 20)
held = source.read().readings[0]
block.close()
after = source.read().readings[0]
print(before.used_bytes, held.used_bytes, after.used_bytes, before.limit_bytes)
"""


@pytest.mark.slow
def test_a_limited_process_sees_its_own_growth() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=environment,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    before, held, after, limit = map(int, done.stdout.split())
    assert limit == 1 << 31
    assert abs(held - before - 64 * MIB) < MIB
    assert abs(after - before) < MIB


def test_a_process_whose_size_cannot_be_read_says_so(tmp_path: Path) -> None:
    report = ProcessLimitSource(statm=tmp_path / "none").read()
    assert not report.is_available
    assert report.why_not
