"""What the scaling bench measures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from attrs import frozen

from actorllama.errors import RequestError

__all__ = ["AXES", "NEEDS_MODEL", "ScalingAxis", "ScalingBenchOptions"]

ScalingAxis: TypeAlias = Literal["sequences", "context", "conversations", "actors"]
"""What grows."""

AXES: Final[tuple[ScalingAxis, ...]] = ("sequences", "context", "conversations", "actors")
NEEDS_MODEL: Final[frozenset[ScalingAxis]] = frozenset({"sequences", "context"})

_SIZES: Final[Mapping[ScalingAxis, tuple[int, ...]]] = {
    "sequences": (1, 2, 4, 8, 16, 32, 64),
    "context": (512, 1024, 2048, 4096, 8192),
    "conversations": (10, 100, 1000, 10_000, 100_000),
    "actors": (10, 100, 1000, 10_000),
}
_QUICK_SIZES: Final[Mapping[ScalingAxis, tuple[int, ...]]] = {
    "sequences": (1, 2, 4),
    "context": (128, 256),
    "conversations": (10, 30, 100),
    "actors": (10, 30),
}


@frozen(kw_only=True)
class ScalingBenchOptions:
    """What to measure.

    Raises:
        RequestError: A value is out of its bounds.
    """

    model: Path
    """For sequences and context; not looked at otherwise."""
    label: str
    axes: tuple[ScalingAxis, ...] = AXES
    n_rounds: int = 3
    """Measurements of each point."""
    n_threads: int = 0
    is_quick: bool = False
    """Small sizes only, to see whether it works at all: the exponents mean nothing."""
    tolerance: float = 0.2
    """How far an exponent may be above that of theory until it is told."""

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.axes:
            raise RequestError(field="axes", value=None, reason=f"name some of {', '.join(AXES)}")
        if not 1 <= self.n_rounds <= 100:
            raise RequestError(field="rounds", value=self.n_rounds, reason="must be 1 to 100")
        if not 0 <= self.tolerance <= 10:
            raise RequestError(field="tolerance", value=self.tolerance, reason="must be 0 to 10")

    @property
    def needs_model(self) -> bool:
        """Whether anything is computed by a model."""
        return not NEEDS_MODEL.isdisjoint(self.axes)

    def sizes(self, axis: ScalingAxis) -> tuple[int, ...]:
        """List the sizes of an axis, in rising order."""
        return (_QUICK_SIZES if self.is_quick else _SIZES)[axis]
