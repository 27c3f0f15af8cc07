"""One cost against one size, and what theory says of it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from actorllama.bench.chart import Series, series_of
from actorllama.bench.harness import Spread
from actorllama.bench.scaling.fit import PowerFit, fit_power
from actorllama.bench.scaling.options import ScalingAxis

__all__ = ["Curve", "Side", "Theory"]

Side: TypeAlias = Literal["runtime", "bare"]


@frozen(kw_only=True)
class Theory:
    """How a cost may grow at most."""

    exponent: float
    words: str
    """Why."""


@frozen(kw_only=True)
class Curve:
    """A cost at several sizes."""

    axis: ScalingAxis
    name: str
    """What costs: ``decode_s_per_token``; the unit is part of it."""
    side: Side
    unit: Literal["s", "bytes"]
    theory: Theory
    points: tuple[tuple[int, Spread], ...]
    """Sizes in rising order, at least two, each with the figures of its rounds."""

    @property
    def fit(self) -> PowerFit:
        """Fit a power to the medians."""
        return fit_power([(float(size), spread.median) for size, spread in self.points])

    def is_worse(self, tolerance: float) -> bool:
        """Whether it grows faster than theory says, by more than ``tolerance`` in the exponent."""
        return self.fit.exponent > self.theory.exponent + tolerance

    def to_json(self, *, tolerance: float) -> dict[str, object]:
        """Give the curve as plain values; the figures of a point are named after the curve."""
        fit = self.fit
        return {
            "axis": self.axis,
            "name": self.name,
            "side": self.side,
            "unit": self.unit,
            "points": [
                {self.axis: size, **spread.to_json(self.name, n_digits=9), "n": len(spread.values)}
                for size, spread in self.points
            ],
            "exponent": round(fit.exponent, 4),
            "exponent_stderr": None if fit.stderr is None else round(fit.stderr, 4),
            "theory_exponent": self.theory.exponent,
            "theory": self.theory.words,
            "is_worse_than_theory": self.is_worse(tolerance),
        }

    def line(self, *, tolerance: float) -> str:
        """Give the curve as a person reads it."""
        fit = self.fit
        (first, first_spread), (last, last_spread) = self.points[0], self.points[-1]
        spread = "" if fit.stderr is None else f" +- {fit.stderr:.2f}"
        ends = f"{self._cost(first_spread)} at {first}, {self._cost(last_spread)} at {last}"
        verdict = "  WORSE THAN THEORY" if self.is_worse(tolerance) else ""
        exponent = f"{fit.exponent:6.2f}{spread}"
        head = f"  {self.name:<26} {self.side:<8} {exponent:<16}"
        return f"{head} <= {self.theory.exponent:g}  {ends}{verdict}"

    def series(self) -> Series:
        """Give the curve as it is drawn."""
        label = f"{self.name} ({self.side}): x^{self.fit.exponent:.2f}"
        return series_of(label, [(float(size), spread) for size, spread in self.points])

    def _cost(self, spread: Spread) -> str:
        if self.unit == "bytes":
            return f"{spread.median:,.0f} bytes"
        for scale, unit in ((1.0, "s"), (1e-3, "ms")):
            if spread.median >= scale:
                return f"{spread.median / scale:.3g} {unit}"
        return f"{spread.median * 1e6:.3g} us"
