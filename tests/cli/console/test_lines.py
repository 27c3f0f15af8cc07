"""What a line asks for."""

import pytest

from actorllama.cli.console.lines import Asked, Do, Say, parse


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("", None),
        ("  \t ", None),
        (" hello ", Say(text="hello")),
        ("one\ntwo", Say(text="one\ntwo")),
        ("//etc is a directory", Say(text="/etc is a directory")),
        ("/", Do(name="", rest="")),
        ("/new", Do(name="new", rest="")),
        ("/set   temperature 0.7 ", Do(name="set", rest="temperature 0.7")),
        ("/system be\nterse", Do(name="system", rest="be\nterse")),
    ],
)
def test_a_line_says_something_or_does_something(line: str, asked: Asked) -> None:
    assert parse(line) == asked
