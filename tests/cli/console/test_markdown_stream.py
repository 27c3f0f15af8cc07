"""Which part of a growing reply is settled."""

import io

import pytest
from rich.console import Console

from actorllama.cli.console.markdown_stream import MarkdownStream, settled


@pytest.mark.parametrize(
    ("text", "n_settled"),
    [
        ("", 0),
        ("one paragraph\nof two lines", 0),
        ("one\n\ntwo", 5),
        ("one\n\ntwo\n\n", 10),
        ("```\ncode\n\nmore", 0),
        ("```py\na\n\nb\n```\n\nend", 16),
        ("~~~\n```\n\n~~~\n \nx", 15),
        ("one\n   ", 0),
    ],
)
def test_a_blank_line_outside_of_code_settles_what_comes_before(text: str, n_settled: int) -> None:
    assert settled(text) == n_settled


def test_the_reply_is_left_behind_whole_and_its_controls_are_not() -> None:
    out = io.StringIO()
    stream = MarkdownStream(Console(file=out, width=40, force_terminal=True), lambda: "status")
    stream.start()
    for piece in ("# He", "ad\n\n", "* one\n* two\n\n", "en\x1b[31md"):
        stream.feed(piece)
    stream.finish()
    final = out.getvalue().rpartition("status")[2]
    assert "en\ufffd[31md" in final
    assert "•" in out.getvalue()
