"""Under which names the runtime's actors are registered."""

from __future__ import annotations

__all__ = [
    "CACHE_NAME",
    "HOST_NAME",
    "MODELS_NAME",
    "OBSERVER_NAME",
    "PRESSURE_NAME",
    "model_name",
    "supervisor_name",
]

CACHE_NAME = "cache"
HOST_NAME = "engine.host"
MODELS_NAME = "models"
OBSERVER_NAME = "observer"
PRESSURE_NAME = "pressure"


def model_name(name: str) -> str:
    """Name of a model's actor."""
    return f"model:{name}"


def supervisor_name(name: str) -> str:
    """Name of the supervisor of one model's actor."""
    return f"model:{name}.supervisor"
