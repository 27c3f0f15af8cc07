"""A process that fills its own limit gives memory back by the ladder, and lives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

MIB = 1 << 20
LIMIT = 192 * MIB

# The entries are what a RAM tier would hold: 4 MiB each, touched. They grow until the ladder says stop, and a
# limit that is overrun is the end of the process: the kernel kills it, or an allocation fails.
GROWING = """
import json, mmap, resource, sys
from actorllama.engine import pressure_plan as pressure
from actorllama.engine.pressure_options import PressureOptions
from actorllama.native.memory import HOST
from actorllama.native.memory_cgroup import CgroupSource
from actorllama.native.memory_host import ProcessLimitSource

PIECE = 4 << 20
if sys.argv[1] == "cgroup":
    open(sys.argv[2] + "/cgroup.procs", "w").write("0")
    source = CgroupSource()
else:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
    source = ProcessLimitSource()

entries, events, worst, now_s = [], [], 0.0, 0.0
state = pressure.PressureState()
options = PressureOptions(high_share=0.9, low_share=0.8, interval_s=0.0)

def look():
    global state, worst, now_s
    readings = source.read().readings
    worst = max([worst, *(r.used_share for r in readings)])
    offer = pressure.Freeable(
        domain=HOST,
        step=pressure.Step.EVICT,
        owner="entries",
        n_bytes=PIECE * len(entries),
        unit_bytes=PIECE,
    )
    now_s += 1.0
    plan = pressure.plan_pressure(state, readings, [offer], options, now_s=now_s)
    events.extend(["began"] * len(plan.began) + ["ended"] * len(plan.ended))
    state = plan.state
    return plan.asks

for step in range(120):
    block = mmap.mmap(-1, PIECE)
    for place in range(0, PIECE, 4096):
        block[place] = 1
    entries.append(block)
    while asks := look():
        for ask in asks:
            won = 0
            while won < ask.n_bytes:
                entries.pop(0).close()
                won += PIECE
            state = pressure.fold_outcome(state, pressure.Outcome(ask=ask, won_bytes=won))
host = state.of(HOST)
print(json.dumps({"worst": worst, "events": events, "asked": host.asked_bytes, "won": host.won_bytes}))
"""


def grow(kind: str, place: str) -> dict[str, object]:
    import json

    done = subprocess.run(
        [sys.executable, "-c", GROWING, kind, place],
        capture_output=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def check(found: dict[str, object]) -> None:
    """480 MiB went through 192: pressure began and ended again and again, and all that was asked was won."""
    events = cast("list[str]", found["events"])
    assert len(events) >= 6
    assert events[:4] == ["began", "ended", "began", "ended"]
    assert isinstance(found["worst"], float)
    assert 0.9 <= found["worst"] < 1.0
    assert found["asked"] == found["won"]
    assert isinstance(found["won"], int)
    assert found["won"] >= 250 * MIB


@pytest.fixture
def limited() -> Iterator[Path]:
    """Give a real cgroup with a limit, if this machine lets us make one; it is taken away afterwards."""
    for parent, file in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        level = parent / f"actorllama-pressure-{os.getpid()}"
        try:
            level.mkdir()
        except OSError:
            continue
        try:
            if (level / file).exists():
                (level / file).write_text(str(LIMIT))
                yield level
                return
        finally:
            level.rmdir()
    pytest.skip("this machine lets us make no cgroup that counts memory")


@pytest.mark.slow
def test_a_process_in_a_real_cgroup_stays_below_its_limit(limited: Path) -> None:
    check(grow("cgroup", str(limited)))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_with_a_limited_address_space_stays_below_it() -> None:
    check(grow("process", str(LIMIT)))
