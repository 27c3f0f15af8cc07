"""Reading a model's gauges from outside its actor."""

from __future__ import annotations

from actorllama.actors import System
from actorllama.engine import GaugeBoard, ModelGauges, down
from actorllama.runtime.names import model_name

__all__ = ["read_gauges"]


def read_gauges(board: GaugeBoard, system: System) -> ModelGauges:
    """Read what a model's actor hung out last.

    An actor that was killed could not take its board down: where nobody has the model's name, it is down.

    Cost: two look-ups; no lock, no call. Any thread may read.
    """
    shown = board.read()
    return shown if system.whereis(model_name(shown.model)) is not None else down(shown)
