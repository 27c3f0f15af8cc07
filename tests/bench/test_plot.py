"""Charts are drawn without a display, and what cannot be drawn is told before anything is measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from actorllama.bench.chart import Bar, Chart, Panel, Series, series_of
from actorllama.bench.harness import Spread
from actorllama.bench.plot import check_plot, draw
from actorllama.errors import ConfigError, RequestError

LINES = Panel(
    title="cost",
    x_label="sequences",
    y_label="ms",
    x_scale="log",
    y_scale="log",
    series=(
        series_of("runtime", [(1.0, Spread.of([1.0, 2.0, 4.0])), (2.0, Spread.of([2.0]))]),
        Series(label="theory", x=(1.0, 2.0), y=(1.0, 1.0), is_dashed=True),
    ),
    bars=(Bar(value=1.5, label="bar"),),
)
NAMED = Panel(
    title="codecs",
    x_label="",
    y_label="ratio",
    names=("none", "zstd"),
    series=(Series(label="r", x=(0, 1), y=(1, 2)),),
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml")])
def test_a_chart_is_drawn_as_the_name_says(name: str, magic: bytes, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    chart = Chart(title="All", panels=(LINES, NAMED, LINES), footnote="a machine")
    draw(chart, tmp_path / name)
    drawn = (tmp_path / name).read_bytes()
    assert drawn.startswith(magic)
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(("name", "says"), [("a.txt", "must end with"), ("none/a.png", "directory")])
def test_a_name_that_cannot_be_drawn_is_refused(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=says):
        check_plot(tmp_path / name)


def test_without_the_extra_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'actorllama\[plot\]'"):
        check_plot(tmp_path / "a.png")


def test_a_series_has_as_many_figures_as_points() -> None:
    with pytest.raises(ValueError, match="as many"):
        Series(label="bad", x=(1.0, 2.0), y=(1.0,))
    with pytest.raises(ValueError, match="as many"):
        Series(label="bad", x=(1.0,), y=(1.0,), low=(1.0, 2.0), high=(1.0, 2.0))
