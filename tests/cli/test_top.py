"""``actorllama top`` watches a real runtime in another process: as text, as JSON, on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.cli.shell import TIMEOUT_S, Invoke, Start
from tests.cli.test_terminal import CTRL_C, terminal

SCRIPT = Path(__file__).with_name("watched.py")
OTHER_SCREEN, SCREEN_BACK = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"

pytestmark = [pytest.mark.slow, pytest.mark.model]


class Watched:
    """A runtime in a process of its own."""

    def __init__(self, state_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(state_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    @property
    def pid(self) -> str:
        return str(self.process.pid)

    def end(self) -> None:
        self.process.communicate(timeout=TIMEOUT_S)


Serve = Callable[[Path], Watched]


@pytest.fixture
def serve() -> Generator[Serve, None, None]:
    """Start runtimes and look after them."""
    started: list[Watched] = []

    def run(state_dir: Path) -> Watched:
        started.append(Watched(state_dir))
        return started[-1]

    yield run
    for watched in started:
        watched.process.kill()
        watched.process.communicate(timeout=TIMEOUT_S)


def test_one_look_as_text_and_as_json(serve: Serve, invoke: Invoke, tmp_path: Path) -> None:
    watched = serve(tmp_path / "state")
    text = invoke("top", "--state-dir", str(tmp_path), "--once")  # the directory above will do
    assert (text.code, text.err) == (0, "")
    assert f"process {watched.pid}" in text.out
    assert "chat" in text.out
    assert "ready" in text.out
    assert "ram" in text.out
    assert "engine.model.loaded" in text.out or "engine.turn.ended" in text.out

    told = invoke("top", "--state-dir", str(tmp_path / "state"), "--attach", watched.pid, "--json", "--once")
    assert told.code == 0
    (snapshot,) = (json.loads(line) for line in told.out.splitlines())
    assert snapshot["pid"] == watched.process.pid
    (model,) = snapshot["models"]
    assert (model["model"], model["phase"], model["n_seq"]) == ("chat", "ready", 2)
    assert snapshot["cache"]["disk"]["limit_bytes"] > 0
    assert "secret" not in told.out


def test_it_follows_until_the_runtime_ends_and_that_is_no_error(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    watched = serve(tmp_path)
    top = start("top", "--attach", str(tmp_path / "observe.sock"), "--json", "--interval", "0.1")
    assert top.stdout is not None
    seqs = [json.loads(top.stdout.readline())["seq"] for _ in range(3)]
    assert seqs == sorted(set(seqs))
    watched.end()
    _out, err = top.communicate(timeout=TIMEOUT_S)
    assert top.returncode == 0
    assert err.decode() == f"the runtime of process {watched.pid} has ended\n"


def test_several_runtimes_are_listed_and_one_is_chosen(serve: Serve, invoke: Invoke, tmp_path: Path) -> None:
    one, two = serve(tmp_path), serve(tmp_path)
    done = invoke("top", "--state-dir", str(tmp_path), "--once")
    assert done.code == 2
    assert one.pid in done.out
    assert two.pid in done.out
    assert done.err.count("\n") == 1
    assert "--attach" in done.err
    chosen = invoke("top", "--state-dir", str(tmp_path), "--attach", two.pid, "--once")
    assert chosen.code == 0
    assert f"process {two.pid}" in chosen.out


def test_a_terminal_is_taken_drawn_again_when_it_changes_and_given_back(serve: Serve, tmp_path: Path) -> None:
    serve(tmp_path)
    with terminal("top", "--state-dir", str(tmp_path)) as screen:
        screen.wait_for(OTHER_SCREEN)
        screen.wait_for(b"chat")
        fcntl.ioctl(screen._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        os.kill(screen.pid, signal.SIGWINCH)
        screen.wait_for(b"exactness=exact")  # there is no room for that in 80 columns
        screen.type(b"q")
        assert screen.wait() == 0, screen.seen
    assert SCREEN_BACK in screen.seen
    assert SHOW_CURSOR in screen.seen


def test_ctrl_c_leaves_the_terminal_in_order(serve: Serve, tmp_path: Path) -> None:
    serve(tmp_path)
    with terminal("top", "--state-dir", str(tmp_path)) as screen:
        screen.wait_for(b"ready")
        before = termios.tcgetattr(screen._descriptor)
        assert not before[3] & termios.ICANON
        screen.type(CTRL_C)
        assert screen.wait() == 130, screen.seen
    assert SCREEN_BACK in screen.seen
    assert b"Traceback" not in screen.seen


def test_a_runtime_that_ends_gives_the_terminal_back_and_says_so(serve: Serve, tmp_path: Path) -> None:
    watched = serve(tmp_path)
    with terminal("top", "--state-dir", str(tmp_path)) as screen:
        screen.wait_for(b"ready")
        watched.process.kill()  # it cannot even say good-bye
        assert screen.wait() == 0, screen.seen
    assert screen.seen.rpartition(SCREEN_BACK)[2].strip().endswith(b"has ended")
