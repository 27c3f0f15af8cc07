"""``actorllama chat`` where standard input is no terminal."""

import os
import signal

import pytest

from tests.cli.shell import TIMEOUT_S, Spawn, Start

pytestmark = [pytest.mark.slow, pytest.mark.model]


def test_each_line_is_a_turn_and_the_model_sees_those_before(spawn: Spawn) -> None:
    done = spawn("chat", "--temperature", "0", stdin=b"My name is Bob.\nWhat is my name?\n")
    assert (done.code, done.err) == (0, "")
    assert done.out == "Nice to meet you, Bob.\nYour name is Bob.\n"


def test_slash_commands_speak_on_standard_error(spawn: Spawn) -> None:
    done = spawn("chat", stdin=b"/help\n/new\n/fly\n\n/quit\nnever read\n")
    assert (done.code, done.out) == (0, "")
    assert "/system TEXT" in done.err
    assert done.err.endswith("(a new conversation)\n/fly is no command; /help lists them\n")


def test_a_turn_that_fails_is_told_and_the_next_one_works(spawn: Spawn) -> None:
    lines = b"one two three four five six seven eight nine ten\n/new\nHello\n"
    done = spawn("chat", "--temperature", "0", "--ctx", "24", stdin=lines)
    assert done.code == 2
    assert done.out.startswith("Hello")
    assert "actorllama: the turn needs" in done.err


def test_the_last_line_needs_no_end(spawn: Spawn) -> None:
    assert spawn("chat", "--temperature", "0", stdin=b"What is 2 + 3?").out == "2 + 3 = 5.\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_wait_for_a_line(start: Start, number: signal.Signals, code: int) -> None:
    read_end, write_end = os.pipe()
    chat = start("chat", "--temperature", "0", stdin=read_end)
    os.write(write_end, b"What is 2 + 3?\n")
    assert chat.stdout is not None
    assert chat.stdout.readline() == b"2 + 3 = 5.\n"  # from here on it waits for a line
    chat.send_signal(number)
    rest, err = chat.communicate(timeout=TIMEOUT_S)
    os.close(read_end)
    os.close(write_end)
    assert (chat.returncode, rest, err) == (code, b"", b"")
