"""Where commands can be watched, and what they leave behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actorllama.cli.state_dir import default_state_dir, given_state_dir, usable_state_dir
from actorllama.errors import RequestError
from tests.cli.shell import TIMEOUT_S, Invoke, Spawn, Start


def test_the_default_directory_is_the_one_of_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / "actorllama"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / ".local" / "state" / "actorllama"


def test_a_default_directory_that_cannot_be_made_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert usable_state_dir() == tmp_path / "file" / "actorllama"
    (tmp_path / "other").write_bytes(b"")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert usable_state_dir() is None


def test_what_is_given_must_be_a_name() -> None:
    assert given_state_dir(None) is None
    assert given_state_dir("state") == Path("state")
    for text in ("", "sta\0te", "sta\udc80te"):
        with pytest.raises(RequestError):
            given_state_dir(text)


@pytest.mark.slow
@pytest.mark.model
def test_a_chat_can_be_watched_also_where_top_looks_by_default(
    start: Start, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    folder = str(default_state_dir())
    read_end, write_end = os.pipe()
    chat = start("chat", "--temperature", "0", "--state-dir", folder, stdin=read_end)
    os.write(write_end, b"What is 2 + 3?\n")
    assert chat.stdout is not None
    assert chat.stdout.readline() == b"2 + 3 = 5.\n"
    seen = [
        invoke("top", "--once", *options)
        for options in ((), ("--attach", str(chat.pid)), ("--state-dir", folder))
    ]
    os.close(write_end)
    assert chat.wait(TIMEOUT_S) == 0
    os.close(read_end)

    for done in seen:
        assert (done.code, done.err) == (0, "")
        assert f"process {chat.pid}" in done.out
        assert "ready" in done.out


@pytest.mark.slow
@pytest.mark.model
def test_a_run_leaves_a_verdict_where_it_was_told_to_and_nothing_elsewhere(
    spawn: Spawn, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    for options in ((), ("--state-dir", str(state))):
        done = spawn("run", "--temperature", "0", *options, "What is 2 + 3?")
        assert (done.code, done.out) == (0, "2 + 3 = 5.\n")

    assert not default_state_dir().exists()
    assert list((state / "verdicts").iterdir())
    assert [path for path in (state / "snapshots").rglob("*") if path.is_file() and path.stat().st_size] == []
