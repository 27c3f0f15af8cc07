"""Where a step is: said by the engine loop to whoever measures it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

__all__ = ["STEP_PARTS", "StepPart", "StepProbe", "no_probe"]

StepPart: TypeAlias = Literal["plan", "decode", "turns", "choose", "post", "between"]
"""``plan``: what to compute, and its batch; ``decode``: inside ``llama_decode``; ``turns``: accounts and text
of the turns; ``choose``: a token for each; ``post``: the report; ``between``: until the next step."""

STEP_PARTS: Final[tuple[StepPart, ...]] = get_args(StepPart)

StepProbe: TypeAlias = Callable[[StepPart], None]
"""Called on the host's thread when a part begins, and the one before it ends."""


def no_probe(_part: StepPart) -> None:
    """Measure nothing."""
