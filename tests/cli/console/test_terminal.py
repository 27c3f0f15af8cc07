"""The console on a terminal: keys, status bar, Markdown, Ctrl-C, and what is left after a kill."""

import os
import signal
from pathlib import Path

import pytest

from tests.cli.test_terminal import CTRL_C, CTRL_D, PROMPT, terminal

pytestmark = [pytest.mark.slow, pytest.mark.model]

TAB, ALT_ENTER = b"\t", b"\x1b\r"


def test_a_conversation_is_streamed_and_the_bar_tells_how_it_stands() -> None:
    with terminal("console") as screen:
        screen.wait_for(PROMPT)
        screen.type(b"/set temperature 0\r")
        screen.wait_for(b"(temperature = 0.0)")
        screen.wait_for(PROMPT)
        screen.type(b"My name is Bob.\r")
        screen.wait_for(b"Nice to meet you, Bob.")
        screen.wait_for(b"demo | chat-1 | context ")
        screen.wait_for(b"tok/s")
        screen.type(b"What is my name?\r")
        screen.wait_for(b"Your name is Bob.")
        screen.wait_for(PROMPT)
        screen.type(CTRL_D)
        assert screen.wait() == 0, screen.seen
    assert screen.seen.rstrip().endswith(b"\x1b[?2004l")


def test_tab_completes_and_alt_enter_begins_another_line() -> None:
    with terminal("console") as screen:
        screen.wait_for(PROMPT)
        screen.type(b"/sys" + TAB)
        screen.wait_for(b"tem")
        screen.type(b" one" + ALT_ENTER + b"two\\\rthree\r")
        screen.wait_for(b"(instructions changed")
        screen.wait_for(PROMPT)
        screen.type(b"/system\r")
        screen.wait_for(b"one\r\ntwo\r\nthree\r\n")
        screen.wait_for(PROMPT)
        screen.type(b"/quit\r")
        assert screen.wait() == 0, screen.seen


def test_ctrl_c_empties_the_line_and_then_tells_how_to_leave() -> None:
    with terminal("console") as screen:
        screen.wait_for(PROMPT)
        screen.type(b"/fly away" + CTRL_C)
        screen.type(CTRL_C + CTRL_C)
        screen.wait_for(b"Ctrl-D leaves; /help lists the commands")
        screen.type(CTRL_D)
        assert screen.wait() == 0, screen.seen
    assert b"/fly': there is none" not in screen.seen


def test_ctrl_c_stops_a_reply_and_keeps_what_was_said(talkative: Path) -> None:
    with terminal("console", str(talkative), "--ctx", "100000", "--n-seq", "1") as screen:
        screen.wait_for(PROMPT)
        screen.type(b"/set max_tokens 90000\r")
        screen.wait_for(PROMPT)
        screen.type(b"My name is Bob.\r")
        screen.wait_for(b"Nice to meet you, Bob")
        screen.type(CTRL_C)
        screen.wait_for(PROMPT)
        screen.type(b"/history\r")
        screen.wait_for(b"Nice to meet you, Bob")
        screen.wait_for(b"[stopped]")
        screen.wait_for(PROMPT)
        screen.type(b"/quit\r")
        assert screen.wait() == 0, screen.seen


def test_sigterm_leaves_the_terminal_in_order() -> None:
    with terminal("console") as screen:
        screen.wait_for(PROMPT)
        os.kill(screen.pid, signal.SIGTERM)
        assert screen.wait() == 143, screen.seen
    assert screen.seen.rstrip().endswith(b"\x1b[?2004l")


def test_a_killed_console_is_gone_on_with(tmp_path: Path) -> None:
    options = ("--state-dir", str(tmp_path))
    with terminal("console", *options) as screen:
        screen.wait_for(PROMPT)
        screen.type(b"/set temperature 0\r")
        screen.wait_for(PROMPT)
        screen.type(b"My name is Bob.\r")
        screen.wait_for(b"Nice to meet you, Bob.")
        screen.wait_for(PROMPT)
        os.kill(screen.pid, signal.SIGKILL)
        assert screen.wait() == -signal.SIGKILL
    with terminal("console", *options) as screen:
        screen.wait_for(b"The last conversation was chat-1")
        screen.wait_for(PROMPT)
        screen.type(b"/load c" + TAB)
        screen.wait_for(b"hat-1")  # what is on the screen already is not written again
        screen.type(b"\r")
        screen.wait_for(b"(chat-1: 1 turn; it goes on where it stood)")
        screen.wait_for(PROMPT)
        screen.type(b"What is my name?\r")
        screen.wait_for(b"Your name is Bob.")
        screen.wait_for(PROMPT)
        screen.type(CTRL_D)
        assert screen.wait() == 0, screen.seen
    assert (tmp_path / "console_history").stat().st_mode & 0o777 == 0o600


def test_no_color_means_no_escape_code_at_all() -> None:
    with terminal("console", env={"NO_COLOR": "1"}) as screen:
        screen.wait_for(b"> ")
        screen.type(b"What is 2 + 3?\n")
        screen.wait_for(b"> ")
        screen.type(CTRL_C)
        screen.wait_for(b"> ")
        screen.type(b"/quit\n")
        assert screen.wait() == 0, screen.seen
    assert b"\x1b" not in screen.seen


def test_ctrl_c_gives_a_waiting_turn_up_and_the_message_is_not_said() -> None:
    with terminal("console") as screen:
        screen.wait_for(PROMPT)
        screen.type(b"/suspend model:demo\r")
        screen.wait_for(b"lets its messages wait")
        screen.wait_for(PROMPT)
        screen.type(b"My name is Bob.\r")
        screen.wait_for(b"\x1b[7m demo | chat-1")  # the place of the reply is drawn
        screen.type(CTRL_C)
        screen.wait_for(PROMPT)
        screen.type(b"/resume model:demo\r")
        screen.wait_for(b"goes on)")
        screen.wait_for(PROMPT)
        screen.type(b"/undo\r")
        screen.wait_for(b"nothing was said yet")
        screen.wait_for(PROMPT)
        screen.type(CTRL_D)
        assert screen.wait() == 0, screen.seen


def test_python_is_a_prompt_of_its_own_and_ctrl_d_goes_back() -> None:
    with terminal("console") as screen:
        screen.wait_for(PROMPT)
        screen.type(b"/py\r")
        screen.wait_for(b">>>")
        screen.type(b"for one in await rt.models():\r")
        screen.wait_for(b"...")
        screen.type(b"    names = [one.name] * 2\r")
        screen.wait_for(PROMPT)
        screen.type(b"\r")
        screen.wait_for(b">>>")
        screen.type(b"names\r")
        screen.wait_for(b"['demo', 'demo']")
        screen.wait_for(b">>>")
        screen.type(b"print('be' + 'gun'); await trio.sleep_forever()\r")
        screen.wait_for(b"begun")  # the terminal makes a signal of Ctrl-C again
        screen.type(CTRL_C)
        screen.wait_for(b">>>")
        screen.type(CTRL_D)
        screen.wait_for(PROMPT)
        screen.type(CTRL_D)
        assert screen.wait() == 0, screen.seen


def test_events_appear_above_the_prompt() -> None:
    with terminal("console") as screen:
        screen.wait_for(PROMPT)
        screen.type(b"/events engine.turn\r")
        screen.wait_for(b"are shown")
        screen.wait_for(PROMPT)
        screen.type(b"/py model.name\r")  # binds the model, so that a task can use it later
        screen.wait_for(PROMPT)
        later = b"trio.lowlevel.spawn_system_task(model.complete, '1 2 3')"
        screen.type(b"/py " + later + b"\r")
        screen.wait_for(b"engine.turn.ended")  # before the next prompt, or above it
        screen.type(b"/quit\r")
        assert screen.wait() == 0, screen.seen
