"""The exponent of a curve: a straight line through logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

__all__ = ["PowerFit", "fit_power"]


@frozen(kw_only=True)
class PowerFit:
    """``y = factor * x ** exponent``, as near as it comes."""

    exponent: float
    factor: float
    stderr: float | None
    """Standard error of the exponent; ``None`` if two points determine it."""

    def at(self, x: float) -> float:
        """Say what the line says of a size."""
        return self.factor * math.pow(x, self.exponent)


def fit_power(points: Sequence[tuple[float, float]]) -> PowerFit:
    """Fit a power of x by least squares of the logarithms.

    Args:
        points: x and y, all above 0; at least two different x.

    Raises:
        ValueError: They are not.
    """
    if len({x for x, _ in points}) < 2 or not all(x > 0 and y > 0 for x, y in points):
        raise ValueError("an exponent needs two sizes at least, and figures above 0")
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x = math.fsum(x for x, _ in logs) / len(logs)
    mean_y = math.fsum(y for _, y in logs) / len(logs)
    spread_x = math.fsum((x - mean_x) ** 2 for x, _ in logs)
    exponent = math.fsum((x - mean_x) * (y - mean_y) for x, y in logs) / spread_x
    offset = mean_y - exponent * mean_x
    stderr = None
    if len(logs) > 2:
        rest = math.fsum((y - offset - exponent * x) ** 2 for x, y in logs)
        stderr = math.sqrt(rest / (len(logs) - 2) / spread_x)
    return PowerFit(exponent=exponent, factor=math.exp(offset), stderr=stderr)
