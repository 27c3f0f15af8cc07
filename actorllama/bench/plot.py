"""Draws charts with matplotlib, without a display; the ``plot`` extra brings it."""

# matplotlib leaves the keywords that it hands on without types:
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from actorllama.bench.chart import Chart, Panel, Series
from actorllama.errors import ConfigError, RequestError

if TYPE_CHECKING:  # an extra: the module must be importable without it
    from matplotlib.axes import Axes

__all__ = ["check_plot", "draw"]

_SUFFIXES: Final = (".png", ".svg", ".pdf")
_WIDTH_IN: Final = 6.0
_HEIGHT_IN: Final = 4.2
_DPI: Final = 120
_N_ACROSS: Final = 2
_N_TICKS: Final = 9
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which can be told apart by people who see colours otherwise."""
_MARKERS: Final = "os^Dvpx"


def check_plot(path: Path) -> None:
    """See to it that a picture can be drawn, before anything is measured.

    Raises:
        ConfigError: matplotlib is not installed; the message has the command.
        RequestError: The file's name ends with none of .png, .svg, .pdf, or its directory is not there.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise RequestError(
            field="plot", value=str(path), reason=f"must end with one of {', '.join(_SUFFIXES)}"
        )
    if not path.absolute().parent.is_dir():
        raise RequestError(field="plot", value=str(path), reason="its directory is not there")
    try:
        import matplotlib as _  # noqa: F401 - asked only whether it is there
    except ImportError as exc:
        raise ConfigError(
            field="plot",
            value=str(path),
            source=str(exc),
            hint="Run: pip install 'actorllama[plot]'",
        ) from exc


def draw(chart: Chart, path: Path) -> None:
    """Write a picture; the end of the file's name says of which kind.

    Raises:
        ConfigError: matplotlib is not installed.
        RequestError: The name or the directory is not usable.
        OSError: The file cannot be written.

    Cost: 1 s, most of it for importing matplotlib.
    """
    check_plot(path)
    from matplotlib.figure import Figure  # a figure of one's own needs neither pyplot nor a display

    n_across = min(_N_ACROSS, len(chart.panels))
    n_down = -(-len(chart.panels) // n_across)
    figure = Figure(figsize=(_WIDTH_IN * n_across, _HEIGHT_IN * n_down + 0.6), layout="constrained")
    figure.suptitle(chart.title, fontsize=12)
    places = figure.subplots(n_down, n_across, squeeze=False).ravel()
    for axes, panel in zip(places, chart.panels, strict=False):
        _draw_panel(axes, panel)
    for axes in places[len(chart.panels) :]:
        axes.set_axis_off()
    figure.supxlabel(chart.footnote, fontsize=7, color="#555555")
    figure.savefig(path, dpi=_DPI)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for number, series in enumerate(panel.series):
        _draw_series(axes, series, number, are_joined=not panel.names)
    for bar in panel.bars:
        axes.axhline(bar.value, color="#888888", linestyle=":", linewidth=1.2, label=bar.label)
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel(panel.x_label, fontsize=9)
    axes.set_ylabel(panel.y_label, fontsize=9)
    axes.set_xscale(panel.x_scale)
    axes.set_yscale(panel.y_scale)
    if panel.names:
        axes.set_xticks(range(len(panel.names)), panel.names, rotation=20, ha="right", fontsize=8)
        axes.set_xlim(-0.5, len(panel.names) - 0.5)
    _tick_sizes(axes, panel)
    if panel.y_scale == "linear":
        axes.set_ylim(bottom=0)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(panel.series) + len(panel.bars) > 1:
        axes.legend(fontsize=8, frameon=False)


def _tick_sizes(axes: Axes, panel: Panel) -> None:
    """Name what was measured, and not the round numbers between."""
    sizes = sorted({x for series in panel.series for x in series.x})
    if panel.names or len(sizes) > _N_TICKS:
        return
    axes.set_xticks(sizes, [f"{size:,.0f}" if size == int(size) else f"{size:.3g}" for size in sizes])
    axes.set_xticks([], minor=True)


def _draw_series(axes: Axes, series: Series, number: int, *, are_joined: bool) -> None:
    colour = _COLOURS[number % len(_COLOURS)]
    if series.is_dashed:
        axes.plot(series.x, series.y, linestyle="--", color=colour, linewidth=1.0, label=series.label)
        return
    below = [y - low for y, low in zip(series.y, series.low, strict=False)]
    above = [high - y for y, high in zip(series.y, series.high, strict=False)]
    axes.errorbar(
        series.x,
        series.y,
        yerr=[below, above] if series.low else None,
        linestyle="-" if are_joined else "none",
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=5,
        capsize=3,
        linewidth=1.4,
        color=colour,
        label=series.label,
    )
