"""What the scaling bench found, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from actorllama.bench.chart import Chart, Panel
from actorllama.bench.facts import BenchFacts, plain_options
from actorllama.bench.scaling.curve import Curve
from actorllama.bench.scaling.options import ScalingBenchOptions

__all__ = ["ScalingReport"]

_AXIS_LABELS: Mapping[str, str] = {
    "sequences": "sequences side by side",
    "context": "context, tokens",
    "conversations": "conversations in the cache",
    "actors": "actors alive",
}


@frozen(kw_only=True)
class ScalingReport:
    """All curves; quote exponents, not times."""

    facts: BenchFacts
    options: ScalingBenchOptions
    curves: tuple[Curve, ...]
    cpu_s_per_1000_tokens: float | None = None
    """Of the runtime, with most sequences side by side; ``None`` if none decoded."""

    @property
    def worse(self) -> tuple[Curve, ...]:
        """Those that grow faster than theory says, by more than the tolerance."""
        return tuple(curve for curve in self.curves if curve.is_worse(self.options.tolerance))

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values: ``curves`` is a list, ``worse_than_theory`` names some of them."""
        tolerance = self.options.tolerance
        return {
            **self.facts.envelope(
                "scaling",
                plain_options(self.options),
                cpu_s_per_1000_tokens=self.cpu_s_per_1000_tokens,
            ),
            "tolerance": tolerance,
            "curves": [curve.to_json(tolerance=tolerance) for curve in self.curves],
            "worse_than_theory": [f"{curve.axis}: {curve.name} ({curve.side})" for curve in self.worse],
        }

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        tolerance = self.options.tolerance
        lines = [f"  {'COST':<26} {'SIDE':<8} {'EXPONENT':<16} {'THEORY'}  FROM, TO"]
        for axis in dict.fromkeys(curve.axis for curve in self.curves):
            lines.append(f"against {_AXIS_LABELS[axis]}")
            lines += [curve.line(tolerance=tolerance) for curve in self.curves if curve.axis == axis]
        lines.append(self._verdict())
        if self.options.is_quick:
            lines.append("Quick sizes: the exponents mean nothing.")
        return [*lines, "Not shown: other machines; several axes growing at once."]

    def chart(self) -> Chart:
        """Show one panel for each axis and unit, both axes logarithmic: a power is a straight line."""
        groups = dict.fromkeys((curve.axis, curve.unit) for curve in self.curves)
        panels = tuple(
            Panel(
                title=f"against {_AXIS_LABELS[axis]}",
                x_label=_AXIS_LABELS[axis],
                y_label=f"cost, {'seconds' if unit == 's' else unit}",
                x_scale="log",
                y_scale="log" if unit == "s" else "linear",
                series=tuple(
                    curve.series() for curve in self.curves if (curve.axis, curve.unit) == (axis, unit)
                ),
            )
            for axis, unit in groups
        )
        return Chart(title="How costs grow", panels=panels, footnote=self.facts.footnote())

    def _verdict(self) -> str:
        tolerance = self.options.tolerance
        if not self.worse:
            return f"No exponent is above that of theory by more than {tolerance:g}."
        names = ", ".join(f"{curve.name} ({curve.side})" for curve in self.worse)
        return f"WORSE THAN THEORY by more than {tolerance:g}: {names}. Measure again on a quiet machine."
