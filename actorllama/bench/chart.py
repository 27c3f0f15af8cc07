"""What a picture of a bench shows, as plain values; ``plot.py`` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from attrs import field, frozen

from actorllama.bench.harness import Spread

__all__ = ["Bar", "Chart", "Panel", "Scale", "Series", "series_of"]

Scale: TypeAlias = Literal["linear", "log"]


@frozen(kw_only=True)
class Series:
    """Points that belong together.

    All have shape ``(n_points,)``; a point that was not measured is left out.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    """Where the middle half of the figures begins; empty if there is one figure for each point."""
    high: tuple[float, ...] = ()
    is_dashed: bool = False
    """For what a theory says, or a bound."""

    def __attrs_post_init__(self) -> None:
        """Hold the shapes together."""
        n_points = len(self.x)
        if len(self.y) != n_points or {len(self.low), len(self.high)} - {0, n_points}:
            raise ValueError(f"a series has as many figures as points: {self.label}")


@frozen(kw_only=True)
class Bar:
    """The value to be reached, as a line across the panel."""

    value: float
    label: str


@frozen(kw_only=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    """With its unit."""
    y_label: str
    """With its unit."""
    series: tuple[Series, ...]
    names: tuple[str, ...] = ()
    """Names of the points at x = 0, 1, 2...: for things that have no number."""
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    bars: tuple[Bar, ...] = field(default=())


@frozen(kw_only=True)
class Chart:
    """Panels under one title, and what they were measured on."""

    title: str
    panels: tuple[Panel, ...]
    footnote: str


def series_of(label: str, points: Sequence[tuple[float, Spread]], *, is_dashed: bool = False) -> Series:
    """Make a series of medians, with the middle half of each where there is one."""
    has_spread = any(len(spread.values) > 1 for _, spread in points)
    return Series(
        label=label,
        x=tuple(x for x, _ in points),
        y=tuple(spread.median for _, spread in points),
        low=tuple(spread.quartiles[0] for _, spread in points) if has_spread else (),
        high=tuple(spread.quartiles[1] for _, spread in points) if has_spread else (),
        is_dashed=is_dashed,
    )
