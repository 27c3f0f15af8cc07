"""Telling what became of turns: one place that knows the events' fields."""

from __future__ import annotations

from time import perf_counter

from actorllama.engine import events
from actorllama.engine.reports import TurnEnd
from actorllama.engine.request import TurnRequest
from actorllama.engine.result import Timings, TurnResult, Usage, timings_of
from actorllama.engine.taken_turn import TakenTurn
from actorllama.errors import EngineError
from actorllama.ids import TurnId
from actorllama.telemetry import Bus, Event

__all__ = ["TurnNews"]


class TurnNews:
    """Tell the bus about the turns of one model; costs nothing where nobody listens."""

    def __init__(self, *, model: str, bus: Bus) -> None:
        """Name the model."""
        self._model = model
        self._bus = bus

    def refused(self, turn_id: TurnId, n_queued: int, reason: str) -> None:
        """A turn was not taken."""
        self._tell(events.TURN_REFUSED, turn_id, {"n_queued": n_queued}, reason=reason)

    def queued(self, turn_id: TurnId, n_queued: int) -> None:
        """A turn waits for a sequence."""
        self._tell(events.TURN_QUEUED, turn_id, {"n_queued": n_queued})

    def started(self, taken: TakenTurn) -> None:
        """A turn has a sequence."""
        measured = {"queue_s": perf_counter() - taken.taken_at_s, "n_prompt": taken.n_prompt}
        self._tell(events.TURN_STARTED, taken.message.turn_id, measured, seq_id=taken.seq_id)

    def ended(self, result: TurnResult, request: TurnRequest) -> None:
        """A turn has its result."""
        if self._bus.is_listening(events.TURN_ENDED):
            self._tell(
                events.TURN_ENDED,
                TurnId(result.turn_id),
                _cost(result.timings, result.usage, result.n_steps),
                finish_reason=result.finish_reason,
                exactness=result.exactness,
                cache_tier=result.usage.source,
                prompt=request.prompt,
                text=result.text,
            )

    def failed(self, end: TurnEnd, taken: TakenTurn, reason: str, error: EngineError) -> None:
        """A turn was cancelled, or could not go on."""
        if self._bus.is_listening(events.TURN_FAILED):
            usage = Usage(
                n_prompt=end.n_prompt,
                n_cached=end.n_restored,
                n_prefilled=end.n_prefilled,
                n_generated=len(end.tokens),
                source=end.source,
            )
            lookup_s = taken.lookup_s(end.source)
            timings = timings_of(end, taken_at_s=taken.taken_at_s, lookup_s=lookup_s)
            self._tell(
                events.TURN_FAILED,
                end.turn_id,
                _cost(timings, usage, end.n_steps),
                finish_reason=end.finish_reason,
                reason=reason,
                error=error,
            )

    def _tell(self, event: Event, turn_id: TurnId, measured: dict[str, float], **metadata: object) -> None:
        if self._bus.is_listening(event):
            self._bus.execute(event, measured, {"model": self._model, "turn_id": turn_id, **metadata})


def _cost(timings: Timings, usage: Usage, n_steps: int) -> dict[str, float]:
    return {
        "queue_s": timings.queue_s,
        "restore_s": timings.restore_s,
        "prefill_s": timings.prefill_s,
        "decode_s": timings.decode_s,
        "save_s": timings.save_s,
        "n_prompt": usage.n_prompt,
        "n_cached": usage.n_cached,
        "n_prefilled": usage.n_prefilled,
        "n_generated": usage.n_generated,
        "n_steps": n_steps,
    }
