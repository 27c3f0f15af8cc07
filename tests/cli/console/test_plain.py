"""``actorllama console`` on a pipe and with a script."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.shell import TIMEOUT_S, Done, Spawn, Start

pytestmark = [pytest.mark.slow, pytest.mark.model]


def run(spawn: Spawn, *lines: str, options: tuple[str, ...] = ()) -> Done:
    return spawn("console", *options, stdin="\n".join(lines).encode())


def test_a_piped_message_is_answered_without_escape_codes(spawn: Spawn) -> None:
    done = run(spawn, "/set temperature 0", "What is 2 + 3?")
    assert (done.code, done.out, done.err) == (0, "2 + 3 = 5.\n", "(temperature = 0.0)\n")


def test_a_script_is_taken_line_by_line(spawn: Spawn, tmp_path: Path) -> None:
    script = tmp_path / "script"
    lines = ("/set temperature 0", "My name is Bob.", "What is my name?", "/system one \\", "two", "/system")
    script.write_text("\n".join([*lines, "/quit", "never read"]))
    done = spawn("console", "--script", str(script))
    assert done.code == 0, done.err
    assert done.out == "Nice to meet you, Bob.\nYour name is Bob.\none \ntwo\n"
    assert "\x1b" not in done.out + done.err


def test_a_script_that_is_not_there_is_one_line(spawn: Spawn, tmp_path: Path) -> None:
    done = spawn("console", "--script", str(tmp_path / "nothing"))
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1


def test_conversations_do_not_hear_each_other(spawn: Spawn) -> None:
    done = run(
        spawn,
        "/set temperature 0",
        "My name is Bob.",
        "/new other",
        "My name is Ada.",
        "/switch chat-1",
        "What is my name?",
        "/switch other",
        "What is my name?",
    )
    assert done.code == 0, done.err
    assert done.out.splitlines()[2:] == ["Your name is Bob.", "Your name is Ada."]


def test_a_fork_goes_its_own_way_and_undo_goes_back(spawn: Spawn) -> None:
    done = run(
        spawn,
        "/set temperature 0",
        "My name is Bob.",
        "/fork",
        "My name is Ada.",
        "/undo",
        "What is my name?",
        "/switch",
    )
    assert done.code == 0, done.err
    assert "Your name is Bob.\n" in done.out
    assert "(forgotten; 1 left)" in done.err
    assert "*  chat-2" in done.out


def test_the_same_seed_tells_the_same_reply(spawn: Spawn) -> None:
    done = run(
        spawn, "/set temperature 1.5", "Tell me a story.", "/regen 7", "/regen 8", "/regen 7", "/history"
    )
    assert done.code == 0, done.err
    *_, told, question, history = done.out.splitlines()
    assert question == "> Tell me a story."
    assert told == history
    assert done.err.count("(seed 7)") == 2


def test_an_error_is_told_and_the_console_goes_on(spawn: Spawn) -> None:
    lines = ("/fly", "/s", "/set warmth 1", "/undo", "/load nothing", "/set temperature 0", "Spell cat.")
    done = run(spawn, *lines)
    assert (done.code, done.out) == (2, "c a t\n")
    assert len(done.err.splitlines()) == 6
    assert "that is /switch, /system, /set, /save" in done.err


def test_a_saved_conversation_goes_on_in_another_process(spawn: Spawn, tmp_path: Path) -> None:
    first = ("/set temperature 0.9", "/set max_tokens 24", "My name is Bob.")
    rest = ("Tell me a story.", "/history")
    whole = run(spawn, *first, *rest, options=("--state-dir", str(tmp_path / "one")))
    options = ("--state-dir", str(tmp_path / "two"))
    begun = run(spawn, *first, "/save trip", options=options)
    assert begun.code == 0, begun.err
    resumed = run(spawn, *rest, options=("--load", "trip", *options))
    assert resumed.code == 0, resumed.err
    assert whole.out == begun.out + resumed.out


def test_only_what_was_saved_is_kept_of_a_pipe(spawn: Spawn, tmp_path: Path) -> None:
    run(spawn, "Hello", options=("--state-dir", str(tmp_path)))
    assert not (tmp_path / "conversations").exists()


def test_help_teaches_every_command(spawn: Spawn) -> None:
    from actorllama.cli.console.commands import COMMANDS

    done = run(spawn, "/help", "/help regen")
    assert done.code == 0, done.err
    assert [name for name in COMMANDS if f"  /{name}" not in done.out] == []
    assert "Example: /regen 7" in done.out


def test_a_kill_in_the_middle_of_a_reply_loses_that_reply_only(
    start: Start, spawn: Spawn, talkative: Path, tmp_path: Path
) -> None:
    """And the reply that is asked for again is the one of a console that nobody killed."""
    options = (str(talkative), "--ctx", "100000", "--n-seq", "1", "--state-dir")
    first = ("/save trip", "/set max_tokens 8", "My name is Bob.", "/set max_tokens 90000")
    rest = ("/set max_tokens 8", "/regen 0", "/history")
    killed = tmp_path / "killed"
    read_end, write_end = os.pipe()
    console = start("console", *options, str(killed), stdin=read_end)
    os.write(write_end, "\n".join([*first, "What is my name?\n"]).encode())
    assert console.stdout is not None
    console.stdout.readline()
    assert console.stdout.read(1)  # the second reply has begun, and would not end for minutes
    console.send_signal(signal.SIGKILL)
    console.wait(timeout=TIMEOUT_S)
    os.close(read_end)
    os.close(write_end)
    saved = json.loads((killed / "conversations" / "trip.json").read_text())["conversation"]
    assert (len(saved["turns"]), saved["pending"]) == (1, "What is my name?")

    resumed = spawn("console", "--load", "trip", "--state-dir", str(killed), stdin="\n".join(rest).encode())
    assert resumed.code == 0, resumed.err
    assert "(the reply to 'What is my name?' was lost" in resumed.err
    whole = run(
        spawn, *first[:3], "What is my name?", "/history", options=(*options, str(tmp_path / "whole"))
    )
    assert whole.out.endswith(resumed.out), whole.err
    assert "> What is my name?" in resumed.out
