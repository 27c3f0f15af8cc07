"""Handlers that hear a fact some time after it was told, and what is kept for them meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from attrs import frozen

from actorllama.telemetry.event import Event, EventName, Measurements, Metadata

__all__ = ["LateBinding", "LateFact", "LateHandler"]

LateHandler: TypeAlias = Callable[[Event, Measurements, Metadata, float], None]
"""Gets, last, when the fact was told: seconds since the epoch."""


@frozen(kw_only=True, eq=False)
class LateBinding:
    """A late handler and what it wants to hear."""

    handler_id: str
    prefixes: tuple[EventName | Event, ...]
    handler: LateHandler
    least_rank: int


LateFact: TypeAlias = tuple[Event, Measurements, Metadata, float, tuple[LateBinding, ...]]
"""A fact on its way to late handlers, told when, and to whom. A bare tuple: one is made for most facts."""
