"""The facts that the engine tells."""

from __future__ import annotations

from actorllama.telemetry import Event

__all__ = [
    "CELLS_DROPPED",
    "CONTEXT_PARKED",
    "CONTEXT_REOPENED",
    "EVENTS",
    "LOAD_FAILED",
    "LOAD_TIGHT",
    "MODEL_FAILED",
    "MODEL_LOADED",
    "MODEL_UNLOADED",
    "PRESSURE_ASKED",
    "PRESSURE_BEGAN",
    "PRESSURE_ENDED",
    "PRESSURE_WON",
    "SOURCE_CHANGED",
    "STEP_REPORTED",
    "TURN_ENDED",
    "TURN_FAILED",
    "TURN_PREFETCHED",
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
LOAD_TIGHT = Event(
    name=("engine", "load", "tight"),
    measurements=("n_readings",),
    metadata=("path", "error"),
    level="warning",
    doc="A model will not fit into free memory, and is loaded all the same (`fits_check` is warn).",
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
TURN_PREFETCHED = Event(
    name=("engine", "turn", "prefetched"),
    measurements=("n_entries", "read_bytes", "duration_s"),
    metadata=("key",),
    level="debug",
    doc="A saved turn that was used last is in RAM before anybody has asked for it.",
)
STEP_REPORTED = Event(
    name=("engine", "step", "reported"),
    measurements=("n_steps", "n_prefilled", "n_decoded", "n_live", "n_queued", "decode_s", "sample_s"),
    metadata=("model",),
    level="debug",
    doc="The engine's running totals, what runs and what waits, when a step brought something to somebody.",
)
CONTEXT_PARKED = Event(
    name=("engine", "context", "parked"),
    measurements=("freed_bytes", "kept_bytes"),
    metadata=("model",),
    doc="The context of an idle model was closed because memory is short. `kept_bytes`: what of its cells the"
    " cache did not have yet.",
)
CONTEXT_REOPENED = Event(
    name=("engine", "context", "reopened"),
    measurements=("duration_s", "n_seq", "n_wanted"),
    metadata=("model",),
    doc="A parked context is there again, with fewer sequences than wanted where there is no room for all.",
)
PRESSURE_BEGAN = Event(
    name=("engine", "pressure", "began"),
    measurements=("used_bytes", "limit_bytes", "stall_ratio"),
    metadata=("domain", "source"),
    level="warning",
    doc="Memory of a domain (host, gpu0, ...) is short: it is asked back, mildest step first.",
)
PRESSURE_ENDED = Event(
    name=("engine", "pressure", "ended"),
    measurements=("used_bytes", "limit_bytes", "stall_ratio"),
    metadata=("domain", "source"),
    doc="Memory of a domain is at its low watermark, or below.",
)
PRESSURE_ASKED = Event(
    name=("engine", "pressure", "asked"),
    measurements=("asked_bytes",),
    metadata=("domain", "step", "owner"),
    doc="An owner is asked for memory; `step` is the rung of the domain's ladder.",
)
PRESSURE_WON = Event(
    name=("engine", "pressure", "won"),
    measurements=("asked_bytes", "won_bytes", "duration_s"),
    metadata=("domain", "step", "owner", "error"),
    doc="What an owner gave back; 0 if it could not, or would have had to harm a turn.",
)
SOURCE_CHANGED = Event(
    name=("engine", "memory_source", "changed"),
    measurements=("n_readings",),
    metadata=("source", "why_not"),
    doc="A source of memory readings has something to say, or has not any more; `why_not` is the reason.",
)

EVENTS: tuple[Event, ...] = (
    MODEL_LOADED,
    VERDICT_UNSAVED,
    LOAD_FAILED,
    LOAD_TIGHT,
    MODEL_FAILED,
    MODEL_UNLOADED,
    TURN_QUEUED,
    TURN_STARTED,
    TURN_ENDED,
    TURN_FAILED,
    TURN_REFUSED,
    CELLS_DROPPED,
    TURN_PREFETCHED,
    CONTEXT_PARKED,
    CONTEXT_REOPENED,
    PRESSURE_BEGAN,
    PRESSURE_ENDED,
    PRESSURE_ASKED,
    PRESSURE_WON,
    SOURCE_CHANGED,
    STEP_REPORTED,
)
