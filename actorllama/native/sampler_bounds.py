"""Bounds of numbers that a request may carry."""

from __future__ import annotations

import math

from attrs import frozen

from actorllama.errors import RequestError

__all__ = ["Bound", "check_number"]


@frozen
class Bound:
    """What one numeric field may hold."""

    field: str
    low: float
    high: float
    integer: bool = False
    above_low: bool = False

    def check(self, value: object) -> None:
        """Refuse what is out of bounds.

        Raises:
            RequestError: With the field, the value and the bound.
        """
        check_number(
            self.field,
            value,
            low=self.low,
            high=self.high,
            integer=self.integer,
            above_low=self.above_low,
        )


def check_number(
    field: str,
    value: object,
    *,
    low: float,
    high: float,
    integer: bool = False,
    above_low: bool = False,
) -> None:
    """Refuse what is not a finite number within its bounds.

    Raises:
        RequestError: With the field, the value and the bound.
    """
    kind = "an integer" if integer else "a number"
    is_kind = isinstance(value, int) if integer else isinstance(value, int | float)
    if isinstance(value, bool) or not is_kind:
        raise RequestError(field=field, value=value, reason=f"must be {kind}")
    assert isinstance(value, int | float)
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(field=field, value=value, reason="must be finite")
    if value > high or value < low or (above_low and value == low):
        sign = ">" if above_low else ">="
        raise RequestError(field=field, value=value, reason=f"must be {sign} {low} and <= {high}")
