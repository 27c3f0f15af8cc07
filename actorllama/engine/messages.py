"""The messages of a model actor, as frozen unions."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from actorllama.actors import Call
from actorllama.engine.cache_messages import PrefixFound
from actorllama.engine.canary import Exactness
from actorllama.engine.reports import LoopFailed, LoopStatistics, StepReport
from actorllama.engine.request import TurnRequest
from actorllama.engine.result import TurnResult
from actorllama.engine.stream import TurnStream
from actorllama.engine.verdict import Verdict
from actorllama.ids import TurnId
from actorllama.native import (
    ContextFacts,
    ContextOptions,
    InferenceContext,
    ModelFacts,
    NativeModel,
    Vocabulary,
)

__all__ = [
    "CancelTake",
    "Describe",
    "LoadFinished",
    "ModelCall",
    "ModelInfo",
    "ModelNotice",
    "ModelStatus",
    "Open",
    "TakeTurn",
    "Unload",
    "WaitReady",
]


@frozen(kw_only=True)
class TakeTurn(Call[TurnResult]):
    """Take a turn. The reply is its ``TurnResult``, when it has ended."""

    turn_id: TurnId
    request: TurnRequest
    stream: TurnStream | None = None


@frozen(kw_only=True)
class WaitReady(Call["ModelInfo"]):
    """Wait until the model is loaded. The reply is a ``ModelInfo``."""


@frozen(kw_only=True)
class Describe(Call["ModelStatus"]):
    """Ask for a ``ModelStatus``; answered in every state."""


@frozen(kw_only=True)
class Unload(Call[None]):
    """Take no more turns, let the running ones end within ``grace_s``, then stop. The reply is None."""

    grace_s: float


ModelCall: TypeAlias = TakeTurn | WaitReady | Describe | Unload


@frozen(kw_only=True)
class CancelTake:
    """The caller of a turn is gone: forget it, running or queued."""

    turn_id: TurnId
    reason: str


@frozen(kw_only=True)
class LoadFinished:
    """The loading thread is done: the job holds what was opened, or there was an error."""

    error: Exception | None = None


ModelNotice: TypeAlias = CancelTake | LoadFinished | PrefixFound | StepReport | LoopFailed


@frozen(kw_only=True)
class Open:
    """What loading made; the actor owns it until it is closed."""

    model: NativeModel
    context: InferenceContext
    namespace: str
    verdict: Verdict


@frozen(kw_only=True)
class ModelInfo:
    """What a caller needs to know to make requests."""

    facts: ModelFacts
    context: ContextFacts
    vocabulary: Vocabulary
    options: ContextOptions
    """What the context was opened with."""
    namespace: str
    """Names everything that shapes this context's states."""
    verdict: Verdict
    """Which level of exactness holds, and why."""
    stream_window: int
    """Tokens that a turn may run ahead of its reader, unless its caller says otherwise."""


@frozen(kw_only=True)
class ModelStatus:
    """What a model is doing now."""

    name: str
    state: str
    path: str
    n_seq: int
    ctx_per_seq: int
    n_live: int
    n_queued: int
    n_free_slots: int
    exactness: Exactness | None
    """``None`` while it is loading."""
    statistics: LoopStatistics | None
