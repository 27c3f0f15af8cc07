"""The picture of the bench of peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from actorllama.bench.chart import Chart, Panel, Series, series_of
from actorllama.bench.harness import Spread
from actorllama.bench.peers.figures import SideFigures, side_figures
from actorllama.bench.peers.loads import Part

__all__ = ["peers_chart"]


def peers_chart(label: str, parts: Sequence[Part], footnote: str) -> Chart:
    """Show speeds and first tokens by turns side by side, and first tokens in the other loads."""
    of_turns = [(len(part.sides[0].rounds[0][0]), part) for part in parts if _has_rounds(part, "turns")]
    others = [part for part in parts if part.load != "turns"]
    panels: list[Panel] = []
    if of_turns:
        panels += [
            Panel(
                title="speed, middle half of the rounds",
                x_label="turns side by side",
                y_label="tokens/s, all turns together",
                series=_series(of_turns, lambda figures: Spread.of(figures.tokens_per_s)),
            ),
            Panel(
                title="first token, median",
                x_label="turns side by side",
                y_label="s",
                y_scale="log",
                series=_series(of_turns, lambda figures: Spread.of([median(figures.first_token_s)])),
            ),
        ]
    if others:
        panels.append(
            Panel(
                title="first token, median",
                x_label="",
                y_label="s",
                y_scale="log",
                names=tuple(part.load for part in others),
                series=_series(
                    list(enumerate(others)), lambda figures: Spread.of([median(figures.first_token_s)])
                ),
            )
        )
    return Chart(title=f"Beside peers, {label}", panels=tuple(panels), footnote=footnote)


def _has_rounds(part: Part, load: str) -> bool:
    return part.load == load and bool(part.sides) and bool(part.sides[0].rounds)


def _series(
    points: Sequence[tuple[float, Part]], figure: Callable[[SideFigures], Spread]
) -> tuple[Series, ...]:
    names = list(dict.fromkeys(side.name for _, part in points for side in part.sides))
    found: list[Series] = []
    for name in names:
        mine = [
            (x, figure(figures))
            for x, part in points
            for side in part.sides
            if side.name == name and (figures := side_figures(side)) is not None
        ]
        if mine:
            found.append(series_of(name, mine))
    return tuple(found)
