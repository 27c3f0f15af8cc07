"""What a model's actor tells the bus."""

from __future__ import annotations

from actorllama.engine import events
from actorllama.engine.messages import Open
from actorllama.engine.reports import LoopStatistics
from actorllama.engine.spec import ModelSpec
from actorllama.telemetry import Bus

__all__ = ["ModelNews"]


class ModelNews:
    """Tell the bus what becomes of one model.

    Owner: its actor.
    """

    def __init__(self, spec: ModelSpec, bus: Bus) -> None:
        """Tell of the model that ``spec`` names."""
        self._spec = spec
        self._bus = bus
        self._about = {"model": spec.name}

    def loaded(self, opened: Open, *, duration_s: float) -> None:
        """Tell that turns can be taken, and what holds."""
        facts, verdict = opened.context.facts, opened.verdict
        self._bus.execute(
            events.MODEL_LOADED,
            {
                "duration_s": duration_s,
                "weights_bytes": opened.model.facts.weights_bytes,
                "n_seq": facts.n_seq,
                "n_ctx_per_seq": facts.ctx_per_seq,
            },
            {
                **self._about,
                "path": str(self._spec.path),
                "exactness": verdict.level,
                "exactness_source": verdict.source,
            },
        )
        if verdict.problem:
            about = {**self._about, "error": verdict.problem}
            self._bus.execute(events.VERDICT_UNSAVED, {"n_checks": len(verdict.checks)}, about)

    def load_failed(self, error: Exception | None, *, duration_s: float) -> None:
        """Tell why a model could not be loaded."""
        about = {**self._about, "path": str(self._spec.path), "error": error}
        self._bus.execute(events.LOAD_FAILED, {"duration_s": duration_s}, about)

    def failed(self, error: Exception, *, n_live: int, n_queued: int) -> None:
        """Tell that the context is in doubt."""
        measured = {"n_live": n_live, "n_queued": n_queued}
        self._bus.execute(events.MODEL_FAILED, measured, {**self._about, "error": error})

    def unloaded(self, *, n_cancelled: int) -> None:
        """Tell that the memory is free."""
        self._bus.execute(events.MODEL_UNLOADED, {"n_cancelled": n_cancelled}, self._about)

    def step(self, statistics: LoopStatistics, *, n_queued: int) -> None:
        """Tell the running totals, if anybody wants them."""
        if self._bus.is_listening(events.STEP_REPORTED):
            self._bus.execute(
                events.STEP_REPORTED,
                {
                    "n_steps": statistics.n_steps,
                    "n_prefilled": statistics.n_prefilled,
                    "n_decoded": statistics.n_decoded,
                    "n_live": statistics.n_live,
                    "n_queued": n_queued,
                    "decode_s": statistics.decode_s,
                    "sample_s": statistics.sample_s,
                },
                self._about,
            )
