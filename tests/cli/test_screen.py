import io

import pytest

from actorllama.cli.screen import clean, is_fancy, say_fields, say_table, size_of


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_escape_codes_of_others_do_not_reach_the_terminal() -> None:
    assert clean("a\x1b[2Jb\x07\x9bc\ud800") == "a\ufffd[2Jb\ufffd\ufffdc\ufffd"
    assert clean("two\nlines\tand é") == "two\nlines\tand é"


def test_escape_codes_are_for_terminals_where_nobody_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert is_fancy(Tty())
    assert not is_fancy(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_fancy(Tty())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_fancy(Tty())


@pytest.mark.parametrize(
    ("n_bytes", "words"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_are_told_for_people(n_bytes: int, words: str) -> None:
    assert size_of(n_bytes) == words


def test_fields_stand_in_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    say_fields([("a", "1"), ("longer", "two\nlines")])
    assert capsys.readouterr().out == "a       1\nlonger  two lines\n"


def test_a_table_is_neither_cut_nor_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(("NAME", "VALUE"), [("[bold]x", "y" * 300)])
    assert capsys.readouterr().out == f"NAME     VALUE\n[bold]x  {'y' * 300}\n"
