"""All that is needed to build a model actor, and to build it again after a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import Factory, field, frozen

from actorllama.engine.gauge_board import GaugeBoard
from actorllama.engine.options import EngineOptions
from actorllama.kvcache import CacheOptions
from actorllama.native import Backend, ContextOptions, ModelOptions

__all__ = ["ModelSpec"]


@frozen(kw_only=True)
class ModelSpec:
    """A model by name: file, options, and what computes it."""

    name: str
    path: Path
    backend: Backend = field(repr=False)
    model_options: ModelOptions = field(factory=ModelOptions)
    context_options: ContextOptions = field(factory=ContextOptions)
    engine_options: EngineOptions = field(factory=EngineOptions)
    cache_options: CacheOptions = field(factory=CacheOptions)
    fits_check: str = "refuse"
    """What is done before a load that will not fit: ``refuse``, ``warn`` or ``off``."""
    weight: float = 1.0
    """Share of the host thread beside other models."""
    verdict_dir: Path | None = None
    """Where the answers of canaries are kept."""
    on_progress: Callable[[float], None] | None = field(default=None, repr=False)
    """Called on the loading thread with 0 to 1."""
    board: GaugeBoard = field(
        default=Factory(
            lambda spec: GaugeBoard(
                model=spec.name,
                n_seq=spec.context_options.n_seq,
                queue_capacity=spec.engine_options.queue_capacity,
            ),
            takes_self=True,
        ),
        repr=False,
        eq=False,
    )
    """Where the model shows how it stands, crash or no crash."""
