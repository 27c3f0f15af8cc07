"""What Tab offers."""

from collections.abc import Iterable

import pytest

from actorllama.cli.console.completing import Word, complete
from actorllama.cli.console.table import Source


def words(source: Source, _begun: str) -> Iterable[Word]:
    found: dict[Source, list[Word]] = {
        "commands": [("save", ""), ("set", ""), ("load", "")],
        "saved": [("trip", ""), ("tour", "")],
        "talks": [("chat-1", "")],
    }
    return found.get(source, [])


@pytest.mark.parametrize(
    ("line", "begun", "offered"),
    [
        ("hello", "", []),
        ("//s", "", []),
        ("/", "", ["save", "set", "load"]),
        ("/s", "s", ["save", "set"]),
        ("/save t", "t", ["trip", "tour"]),
        ("/save tr", "tr", ["trip"]),
        ("/switch ", "", ["chat-1"]),
        ("/save trip t", "t", []),
        ("/undo t", "t", []),
        ("/fly t", "t", []),
        ("/save\nt", "", []),
    ],
)
def test_a_command_and_its_argument_are_completed(line: str, begun: str, offered: list[str]) -> None:
    found, candidates = complete(line, words)
    assert (found, [word for word, _ in candidates]) == (begun, offered)
