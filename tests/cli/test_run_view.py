import pytest

from actorllama.cli.run_view import PanelView, StreamView, WholeView, label_of, view_for
from actorllama.cli.turns import Outcome


def test_a_pipe_gets_whole_replies() -> None:
    assert isinstance(view_for(["a"]), WholeView)
    assert isinstance(view_for(["a", "b"]), WholeView)


def test_a_label_is_one_short_line() -> None:
    assert label_of(0, "a\nb") == "[1] a b"
    assert len(label_of(9, "x" * 100)) < 70


def test_a_stream_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with StreamView() as view:
        view.on_text(0, "Hel")
        view.on_text(0, "lo\x1b")
    view.finish([])
    assert capsys.readouterr().out == "Hello\ufffd\n"


def test_a_panel_keeps_only_the_end_while_it_is_drawn() -> None:
    view = PanelView(["a"])
    for number in range(9000):
        view.on_text(0, f"{number}\n")
    shown = view._tail(0, 3)
    assert shown.plain == "8998\n8999\n"


def test_panels_show_whole_replies_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with PanelView(["first", "second"]) as view:
        view.on_text(0, "partly")
    view.finish([Outcome(text="all of it"), Outcome(text="[bold]and this")])
    out = capsys.readouterr().out
    assert "all of it" in out
    assert "[bold]and this" in out
    assert "[2] second" in out
