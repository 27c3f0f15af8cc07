"""What a page shows at the prompt of the console happens when it is typed at a real terminal."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.console.test_recorded import missing, plain, play
from tests.cli.test_terminal import terminal
from tests.docs.blocks import DOCS, PAGES, blocks_of
from tests.docs.run_page import is_typed

PAGE = DOCS / "tutorial.md"
PLAYED = {PAGE, DOCS / "console.md"}  # the other one is played by tests/cli/console/test_recorded.py


def test_every_page_with_something_to_type_is_played() -> None:
    assert {page for page in PAGES if any(is_typed(block) for block in blocks_of(page))} == PLAYED


@pytest.mark.slow
@pytest.mark.model
def test_the_conversation_of_the_tutorial_survives_a_kill(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "XDG_STATE_HOME": "", "ACTORLLAMA_CONTEXT_N_THREADS": "1"}
    first, second = (block.text.splitlines() for block in blocks_of(PAGE) if is_typed(block))
    with terminal(*first[0].split()[2:], env=env) as screen:
        play(screen, first)
        screen.wait_for(b"Once")
        os.kill(screen.pid, signal.SIGKILL)
        assert screen.wait() == -signal.SIGKILL
    assert missing(first, plain(screen.seen)) == []
    with terminal(*second[0].split()[2:], env=env) as screen:
        play(screen, second)
        assert screen.wait() == 0, screen.seen
    assert missing(second, plain(screen.seen)) == []
    assert list(tmp_path.rglob("trip.json")), "it was kept in the home of the reader"
    assert re.search(r"kill -9", PAGE.read_text())
