"""The session in the document is what happens."""

import os
import re
import signal
from pathlib import Path

import pytest

from actorllama.cli.console.commands import COMMANDS
from tests.cli.test_terminal import PROMPT, Terminal, terminal

DOCUMENT = Path(__file__).parents[3] / "docs" / "console.md"
WORDS = DOCUMENT.read_text(encoding="utf-8")


def sessions() -> list[list[str]]:
    """Give the lines of each process; a block without a command of the shell goes on with the one before."""
    found: list[list[str]] = []
    for block in re.findall(r"^```console\n(.*?)^```", WORDS, re.DOTALL | re.MULTILINE):
        lines = block.splitlines()
        if lines[0].startswith("$ "):
            found.append(lines)
        else:
            found[-1] += lines
    return found


def play(screen: Terminal, lines: list[str]) -> None:
    """Type what was typed."""
    for line in lines:
        if line.startswith("> "):
            screen.wait_for(PROMPT)
            screen.type(line[2:].encode() + b"\r")


def plain(seen: bytes) -> str:
    """Give what was written, without its colours, and with one blank for any number of them."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    return " ".join(text.split())


def missing(lines: list[str], seen: str) -> list[str]:
    """Look for the lines in their order; give the first that is not there."""
    at = 0
    for line in lines:
        if line.startswith(("> ", "$ ")):
            continue
        pattern = ".{0,400}?".join(re.escape(part) for part in " ".join(line.split()).split("..."))
        found = re.compile(pattern).search(seen, at)
        if found is None:
            return [line, seen[at:]]
        at = found.end()
    return []


@pytest.mark.slow
@pytest.mark.model
def test_the_recorded_session_happens_again() -> None:
    first, second = sessions()
    with terminal(*first[0].split()[2:]) as screen:
        play(screen, first)
        screen.wait_for(b"Once")
        os.kill(screen.pid, signal.SIGKILL)
        assert screen.wait() == -signal.SIGKILL
    assert missing(first, plain(screen.seen)) == []
    with terminal(*second[0].split()[2:]) as screen:
        play(screen, second)
        assert screen.wait() == 0, screen.seen
    assert missing(second, plain(screen.seen)) == []


def test_the_document_lists_every_command_as_the_help_does() -> None:
    head = "| command | |\n|---|---|\n"
    rows = "".join(
        f"| `{f'/{one.name} {one.usage}'.rstrip().replace('|', chr(92) + '|')}` | {one.summary} |\n"
        for one in COMMANDS.values()
    )
    assert f"<!-- commands -->\n{head}{rows}<!-- /commands -->" in WORDS
