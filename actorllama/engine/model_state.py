"""Where a model stands, and what its actor tells itself."""

from __future__ import annotations

from enum import Enum

from attrs import frozen

__all__ = ["GraceOver", "ModelState", "StartLoading"]


class ModelState(Enum):
    """Where a model stands."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    PARKING = "parking"
    PARKED = "parked"
    OPENING = "opening"


@frozen
class StartLoading:
    """Begin to load, once the supervisor has its answer."""


@frozen
class GraceOver:
    """The running turns had their time."""
