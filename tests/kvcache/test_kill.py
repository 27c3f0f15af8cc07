"""Nothing that a killed process leaves behind is wrong, lost, or there for ever."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from actorllama.kvcache import DiskTier, PosixFileSystem
from tests.kvcache.samples import snapshot_of
from tests.open_files import open_below

ROOT = Path(__file__).parents[2]


def run_trial(scenario: str, root: Path) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kvcache.killing", scenario, str(root)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["fresh", "damaged", "full"])
def test_a_process_killed_at_any_step_of_a_put_harms_nobody(tmp_path: Path, scenario: str) -> None:
    """SIGKILL at each call in turn, while another process puts and reads the same keys without end."""
    found = run_trial(scenario, tmp_path / "cache")
    assert found.pop("n_kills") >= 12
    assert found.pop("n_survived") == 1
    assert set(found.values()) == {0}, found


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "n_kills"), [("turn", 60), ("turn, full", 60), ("turn, present", 25)])
def test_a_process_killed_at_any_step_of_a_turn_leaves_no_snapshot_without_its_rows(
    tmp_path: Path, scenario: str, n_kills: int
) -> None:
    """Three blocks, a boundary and a snapshot as one job, beside a process that puts turns and adopts."""
    found = run_trial(scenario, tmp_path / "cache")
    assert found.pop("n_kills") >= n_kills
    assert found.pop("n_survived") == 1
    assert set(found.values()) == {0}, found


RACE = """
import sys
from actorllama.kvcache import DiskTier
from tests.kvcache.samples import snapshot_of
tier = DiskTier(sys.argv[1], limit_bytes=1 << 30)
print("ready", flush=True)
sys.stdin.readline()
for number in range(30):
    snapshot = snapshot_of(number)
    how = tier.put(snapshot)
    assert tier.get(snapshot.key) == snapshot
    print(how)
"""


@pytest.mark.slow
def test_processes_that_race_for_the_same_keys_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(tmp_path)]
    racers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [racer.communicate(timeout=180)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    for one, other in zip(*told, strict=True):
        assert sorted((one, other)) == ["adopted", "published"]

    tier = DiskTier(tmp_path, limit_bytes=1 << 30)
    assert (len(tier.keys()), tier.statistics().n_temporary) == (30, 0)


@pytest.mark.slow
def test_the_file_of_a_process_that_died_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    code = """
from actorllama.kvcache import PosixFileSystem
print(PosixFileSystem().owner().to_name(), flush=True)
input()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    owner = child.stdout.readline().strip()
    unfinished = tmp_path / "ab" / f".{'ab' * 16}.{owner}-{'0' * 16}.tmp"
    unfinished.parent.mkdir()
    unfinished.write_bytes(b"half")
    tier = DiskTier(tmp_path, limit_bytes=1 << 30)
    assert tier.sweep() == 0
    assert unfinished.exists()

    child.communicate("\n", timeout=180)
    assert tier.sweep() == 1
    assert not unfinished.exists()


def test_no_file_descriptor_is_left_open(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, limit_bytes=1 << 30, files=PosixFileSystem())
    before = open_below(tmp_path)
    tier.put(snapshot_of(1))
    tier.put(snapshot_of(1))
    tier.get(snapshot_of(1).key)
    tier.check()
    assert open_below(tmp_path) == before
