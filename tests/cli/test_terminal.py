"""On a terminal: panels, the prompt, Ctrl-C as a key."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import pytest

from tests.cli.shell import Endless, command_line

TIMEOUT_S = 180

pytestmark = [pytest.mark.slow, pytest.mark.model]

CTRL_C, CTRL_D = b"\x03", b"\x04"
PROMPT = b"\x1b[?2004h"  # prompt_toolkit has taken the keyboard
STEP = re.compile(rb"\x1b\[(?:(\d*)(C)|[\d;]*m)")  # over what is there already, or to another style
WHERE_IS_THE_CURSOR, AT_THE_TOP = b"\x1b[6n", b"\x1b[1;1R"


def end_of(words: bytes, seen: bytes, at: int) -> int | None:
    """Find where words that were drawn end, first as they are.

    A line that is drawn again is drawn where it differs: what stood there before, by chance or by timing, is
    passed over. The words may have such gaps, though not more of them than letters.
    """
    plain = seen.find(words, at)
    if plain >= 0:
        return plain + len(words)
    for found in re.finditer(re.escape(words[:1]) + b"|" + STEP.pattern, seen[at:]):
        n_most = int(found[1] or 1) if found[2] else 0  # so many of the first letters may be passed over
        start = found.end() if found[2] else found.start()
        for n_passed in range(1 if n_most else 0, min(n_most, len(words) // 2) + 1):
            end = _end_with_gaps(words, seen, at + start, n_passed)
            if end is not None:
                return end
    return None


def _end_with_gaps(words: bytes, seen: bytes, at: int, n_passed: int) -> int | None:
    n_found = 0
    while n_found + n_passed < len(words):
        if n_found and (step := STEP.match(seen, at)):
            n_passed += int(step[1] or 1) if step[2] == b"C" else 0
            at = step.end()
        elif seen[at : at + 1] == words[n_found + n_passed :][:1]:
            n_found, at = n_found + 1, at + 1
        else:
            return None
    return at if n_passed <= n_found else None


class Terminal:
    """A terminal of 80 x 24 with a command in it."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self.seen = b""
        self.is_stuck = False
        self._descriptor = descriptor
        self._mark = 0

    def type(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)

    def wait_for(self, words: bytes) -> None:
        """Read until the words come, after those that were waited for before."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while (end := end_of(words, self.seen, self._mark)) is None:
            assert time.monotonic() < deadline_s, self.seen
            assert self._read(), self.seen
        self._mark = end

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        if self.is_stuck:
            os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        readable, _, _ = select.select([self._descriptor], [], [], TIMEOUT_S)
        if not readable:
            self.is_stuck = True
            return False
        try:
            new = os.read(self._descriptor, 65536)
        except OSError:
            return False  # EIO is Linux's way to say that the other side is closed
        if WHERE_IS_THE_CURSOR in new:
            self.type(AT_THE_TOP)
        self.seen += new
        return bool(new)


@contextmanager
def terminal(*argv: str, env: Mapping[str, str] | None = None) -> Generator[Terminal, None, None]:
    pid, descriptor = pty.fork()
    if pid == 0:
        variables = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        os.execve(sys.executable, command_line(*argv), variables)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        yield Terminal(pid, descriptor)
    finally:
        os.close(descriptor)


CHAT = ("chat", "--temperature", "0")


def test_words_are_found_though_some_letters_stood_there_before() -> None:
    seen = b"\x1b[C\x1b[0;7mCtrl-D\x1b[Cle\x1b[2Ces; /help\x1b[0m"
    assert end_of(b"Ctrl-D leaves; /help", seen, 0) == len(seen) - len(b"\x1b[0m")
    assert end_of(b"Ctrl-D leaves; /help", seen, 12) is None
    assert end_of(b"Ctrl-C leaves; /help", seen, 0) is None
    assert end_of(b"ves and", b"v\x1b[6C", 0) is None
    assert end_of(b"le", b"a leaf", 1) == 4
    assert end_of(b"demo |", b"\x1b[7Cmo |", 0) == len(b"\x1b[7Cmo |")


def test_several_replies_are_drawn_in_panels() -> None:
    with terminal("run", "--temperature", "0", "What is 2 + 3?", "Spell cat.") as screen:
        assert screen.wait() == 0
    final = screen.seen.rpartition(b"\x1b[?25h")[2].decode()  # after the cursor is shown again
    assert "[1] What is 2 + 3?" in final
    assert "│ 2 + 3 = 5." in final
    assert "│ c a t" in final
    assert "2 turns, " in final


def test_one_reply_is_streamed_without_a_frame() -> None:
    with terminal("run", "--temperature", "0", "What is 2 + 3?") as screen:
        assert screen.wait() == 0
    assert b"2 + 3 = 5.\r\n1 turn, " in screen.seen


def test_no_color_means_no_escape_code_at_all() -> None:
    with terminal("run", "--temperature", "0", "Hello", "Spell cat.", env={"NO_COLOR": "1"}) as screen:
        assert screen.wait() == 0
    assert b"\x1b" not in screen.seen
    assert b"[2] Spell cat.\r\nc a t\r\n" in screen.seen


def test_a_chat_remembers_and_ctrl_d_leaves() -> None:
    with terminal(*CHAT) as screen:
        screen.wait_for(PROMPT)
        screen.type(b"My name is Bob.\r")
        screen.wait_for(b"Nice to meet you, Bob.")
        screen.wait_for(PROMPT)
        screen.type(b"What is my name?\r")
        screen.wait_for(b"Your name is Bob.")
        screen.wait_for(PROMPT)
        screen.type(CTRL_D)
        assert screen.wait() == 0, screen.seen


def test_ctrl_c_at_the_prompt_leaves() -> None:
    with terminal(*CHAT) as screen:
        screen.wait_for(PROMPT)
        screen.type(CTRL_C)
        assert screen.wait() == 130, screen.seen


def test_ctrl_c_stops_a_reply_and_the_chat_goes_on(endless: Endless) -> None:
    with terminal("chat", endless.path, *endless.options) as screen:
        screen.wait_for(PROMPT)
        screen.type(b"x\r")
        screen.wait_for(endless.begins.encode())
        screen.type(CTRL_C)
        screen.wait_for(PROMPT)
        screen.type(b"/quit\r")
        assert screen.wait() == 0, screen.seen


def test_sigterm_at_the_prompt_leaves_the_terminal_in_order() -> None:
    with terminal(*CHAT) as screen:
        screen.wait_for(PROMPT)
        os.kill(screen.pid, signal.SIGTERM)
        assert screen.wait() == 143, screen.seen
    assert screen.seen.rstrip().endswith(b"\x1b[?2004l")


def test_ctrl_c_stops_the_replies_in_their_panels(endless: Endless) -> None:
    with terminal("run", endless.path, *endless.options, "first", "second") as screen:
        screen.wait_for(f"│ {endless.begins}".encode())
        screen.type(CTRL_C)
        assert screen.wait() == 130, screen.seen
    final = screen.seen.rpartition(b"\x1b[?25h")[2].decode()
    assert "[2] second" in final
    assert f"│ {endless.begins}" in final
    assert "0 of 2 turns, " in final
