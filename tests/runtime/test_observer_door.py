"""Who gets which name for its socket, whatever else is in the directory."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actorllama.runtime.observer_door import Door, open_door


def left_behind(path: Path) -> None:
    """Leave a socket on which nobody listens, as a process does that was killed."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def answers(door: Door) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(door.path))
        door.listening.accept()[0].close()
    return True


def test_doors_opened_at_the_same_time_have_names_of_their_own(tmp_path: Path) -> None:
    """One of them may replace what a dead process left; none takes another's name."""
    left_behind(tmp_path / "observe.sock")
    with ThreadPoolExecutor(8) as pool:
        doors = list(pool.map(open_door, [tmp_path] * 16))
    assert sorted(door.path for door in doors) == sorted(tmp_path.glob("*.sock"))
    assert all(answers(door) for door in doors)
    for door in doors:
        door.close()
    assert list(tmp_path.glob("*.sock")) == []


def test_the_file_is_private_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        door = open_door(tmp_path / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE(door.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(door.path.parent.stat().st_mode) == 0o700
    door.close()


def test_closing_leaves_alone_what_has_the_name_by_now(tmp_path: Path) -> None:
    first = open_door(tmp_path)
    first.path.unlink()  # somebody cleaned up
    second = open_door(tmp_path)
    assert second.path == first.path
    first.close()
    assert answers(second)
    second.close()


def test_a_name_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    (tmp_path / "observe.sock").symlink_to(precious)
    door = open_door(tmp_path)
    assert door.path.name == f"observe-{os.getpid()}.sock"
    door.close()
    assert precious.read_text() == "x"


def test_when_every_name_is_taken_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "observe.sock").touch()
    (tmp_path / f"observe-{os.getpid()}.sock").touch()
    for number in range(2, 32):
        (tmp_path / f"observe-{os.getpid()}-{number}.sock").touch()
    with pytest.raises(FileExistsError, match="taken"):
        open_door(tmp_path)


def test_whoever_chooses_for_ever_does_not_hold_up_others_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorllama.runtime.observer_door._N_TRIES", 3)
    lock = os.open(tmp_path / "observe.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with pytest.raises(BlockingIOError):
            open_door(tmp_path)
    finally:
        os.close(lock)
    open_door(tmp_path).close()
