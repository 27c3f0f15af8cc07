"""The facts that the engine tells."""

from __future__ import annotations

from actorllama.telemetry import Event

__all__ = [
    "CELLS_DROPPED",
    "EVENTS",
    "LOAD_FAILED",
    "MODEL_FAILED",
    "MODEL_LOADED",
    "MODEL_UNLOADED",
    "STEP_REPORTED",
    "TURN_ENDED",
    "TURN_FAILED",
    "TURN_QUEUED",
    "TURN_REFUSED",
    "TURN_STARTED",
    "VERDICT_UNSAVED",
]

MODEL_LOADED = Event(
    name=("engine", "model", "loaded"),
    measurements=("duration_s", "weights_bytes", "n_seq", "n_ctx_per_seq"),
    metadata=("model", "path", "exactness", "exactness_source"),
    doc="A model is loaded and takes turns; the level of exactness that holds, and how that is known.",
)
VERDICT_UNSAVED = Event(
    name=("engine", "verdict", "unsaved"),
    measurements=("n_checks",),
    metadata=("model", "error"),
    level="warning",
    doc="What the canary found could not be kept; the next load of the model tries again.",
)
LOAD_FAILED = Event(
    name=("engine", "load", "failed"),
    measurements=("duration_s",),
    metadata=("model", "path", "error"),
    level="error",
    doc="A model could not be loaded; nothing of it stays in memory.",
)
MODEL_FAILED = Event(
    name=("engine", "model", "failed"),
    measurements=("n_live", "n_queued"),
    metadata=("model", "error"),
    level="error",
    doc="A context came into doubt; its actor crashes, its supervisor rebuilds it.",
)
MODEL_UNLOADED = Event(
    name=("engine", "model", "unloaded"),
    measurements=("n_cancelled",),
    metadata=("model",),
    doc="A model has been unloaded; its memory is free.",
)
TURN_QUEUED = Event(
    name=("engine", "turn", "queued"),
    measurements=("n_queued",),
    metadata=("model", "turn_id"),
    level="debug",
    doc="All sequences are in use; the turn waits for one.",
)
TURN_STARTED = Event(
    name=("engine", "turn", "started"),
    measurements=("queue_s", "n_prompt"),
    metadata=("model", "turn_id", "seq_id"),
    level="debug",
    doc="A turn has a sequence and goes to the engine.",
)
_TURN_COST = (
    *("queue_s", "restore_s", "prefill_s", "decode_s", "save_s"),
    *("n_prompt", "n_cached", "n_prefilled", "n_generated", "n_steps"),
)
TURN_ENDED = Event(
    name=("engine", "turn", "ended"),
    measurements=_TURN_COST,
    metadata=("model", "turn_id", "finish_reason", "exactness", "cache_tier", "prompt", "text"),
    private=("prompt", "text"),
    doc="A turn has its result. `cache_tier`: where its restored prefix was; none if nothing was restored."
    " `prompt` is token ids.",
)
TURN_FAILED = Event(
    name=("engine", "turn", "failed"),
    measurements=_TURN_COST,
    metadata=("model", "turn_id", "finish_reason", "reason", "error"),
    doc="A turn was cancelled or could not go on (`finish_reason` cancelled, error); its sequence is free.",
)
TURN_REFUSED = Event(
    name=("engine", "turn", "refused"),
    measurements=("n_queued",),
    metadata=("model", "turn_id", "reason"),
    level="warning",
    doc="A turn was not taken: the queue is full, or the model is being unloaded.",
)
CELLS_DROPPED = Event(
    name=("engine", "cells", "dropped"),
    measurements=("entry_bytes", "pending_bytes"),
    metadata=("reason",),
    level="warning",
    doc="Computed cells could not be kept or brought back; they will be computed again, nothing else.",
)
STEP_REPORTED = Event(
    name=("engine", "step", "reported"),
    measurements=("n_steps", "n_prefilled", "n_decoded", "n_live", "n_queued", "decode_s", "sample_s"),
    metadata=("model",),
    level="debug",
    doc="The engine's running totals, what runs and what waits, when a step brought something to somebody.",
)

EVENTS: tuple[Event, ...] = (
    MODEL_LOADED,
    VERDICT_UNSAVED,
    LOAD_FAILED,
    MODEL_FAILED,
    MODEL_UNLOADED,
    TURN_QUEUED,
    TURN_STARTED,
    TURN_ENDED,
    TURN_FAILED,
    TURN_REFUSED,
    CELLS_DROPPED,
    STEP_REPORTED,
)
