"""What a page tells its reader to run, runs, and prints what the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks_of
from tests.docs.run_page import is_typed, matches

TIMEOUT_S = 600
RUNNABLE = {"python", "bash", "console"}


def has_something_to_run(page: Path) -> bool:
    return any(
        block.language in RUNNABLE and block.why_not is None and not is_typed(block)
        for block in blocks_of(page)
    )


def surroundings(folder: Path) -> dict[str, str]:
    """A reader's: the commands of this environment, a home of their own, one thread for llama.cpp."""
    home = folder / "home"
    home.mkdir()
    # Compiled modules may be kept: a page starts many processes, and CI forbids it to all others.
    forgotten = ("ACTORLLAMA_", "XDG_", "PYTEST_", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(forgotten)}
    return {
        **kept,
        "ACTORLLAMA_CONTEXT_N_THREADS": "1",
        "HOME": str(home),
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if has_something_to_run(page)],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_every_block_of_a_page_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.run_page", str(page)],
        cwd=folder,
        env=surroundings(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expected", "printed", "is_match"),
    [
        ("a\n", "a\n", True),
        ("a ... c\n", "a b c\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd\n", True),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("a ...\n", "a b\nc\n", False),
    ],
)
def test_what_was_printed_is_compared_line_by_line(expected: str, printed: str, is_match: bool) -> None:
    assert matches(expected, printed) is is_match
