"""What the pressure actor says of one memory, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from actorllama.cli.screen import size_of
from actorllama.engine import DomainView

__all__ = ["pressure_lines"]


def pressure_lines(view: DomainView) -> Sequence[str]:
    """Say how a memory stands to its watermarks, which rung its ladder is on, what is offered and was won."""
    return (
        f"{view.domain.name}: {_state(view)}",
        f"  watermarks  {_marks(view)}",
        f"  offered     {_parts(view.offered) or 'nothing'}",
        f"  won         {_parts(view.won) or 'nothing'}",
        *([f"  closed      {', '.join(view.closed)}: no new turns"] if view.closed else ()),
    )


def _state(view: DomainView) -> str:
    if view.rung is None:
        return "calm"
    waits = f", {view.n_pending} not answered" if view.n_pending else ""
    return f"SHORT OF MEMORY, on the rung {_word(view.rung)}{waits}"


def _marks(view: DomainView) -> str:
    if view.limit_bytes is None or view.used_bytes is None:
        return f"low {view.low_share:.0%}, high {view.high_share:.0%}, no limit is known"
    low, high = (size_of(int(share * view.limit_bytes)) for share in (view.low_share, view.high_share))
    return (
        f"{size_of(view.used_bytes)} used, asked back from {high} ({view.high_share:.0%})"
        f" to {low} ({view.low_share:.0%})"
    )


def _parts(parts: Iterable[tuple[IntEnum, int]]) -> str:
    return ", ".join(f"{_word(step)} {size_of(n_bytes)}" for step, n_bytes in parts)


def _word(step: IntEnum) -> str:
    return step.name.lower()
