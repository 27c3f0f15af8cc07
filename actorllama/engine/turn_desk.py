"""Who may take a turn, on which sequence, and who hears of its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter, time

from attrs import define

from actorllama.actors import Caller
from actorllama.engine import events
from actorllama.engine.canary import Exactness
from actorllama.engine.commands import CancelTurn, Command, StartTurn
from actorllama.engine.messages import TakeTurn
from actorllama.engine.reports import StepReport, TurnEnd
from actorllama.engine.request import TurnRequest
from actorllama.engine.result import Timings, TurnResult, Usage, result_of, timings_of
from actorllama.engine.slots import SlotPool
from actorllama.engine.spec import ModelSpec
from actorllama.errors import Busy, EngineError, ModelUnavailable, TurnCancelled
from actorllama.ids import SeqId, TurnId
from actorllama.kvcache import Snapshot
from actorllama.telemetry import Bus, Event

__all__ = ["TurnDesk"]

UNLOADING = "the model is being unloaded"


@define(kw_only=True, eq=False)
class _Taken:
    """A turn that was taken: queued while it has no sequence, running when it has one."""

    message: TakeTurn
    caller: Caller
    taken_at_s: float
    seq_id: SeqId | None = None


class TurnDesk:
    """The queue, the slots and the running turns of one context.

    Owner: the model actor, which made it when its context opened; no other code touches it. It
    submits commands and answers callers, and never waits.
    """

    def __init__(
        self,
        *,
        spec: ModelSpec,
        n_slots: int,
        submit: Callable[[Command], None],
        grant: Callable[[TurnId, int], None],
        keep: Callable[[Snapshot], None],
        namespace: str,
        exactness: Exactness,
        bus: Bus,
    ) -> None:
        """Begin with all sequences free.

        Args:
            spec: Name and bounds.
            n_slots: Sequences of the context.
            submit: Hands a command to the engine loop.
            grant: Tells the model actor that a reader has consumed tokens.
            keep: Hands a saved turn boundary to the cache.
            namespace: Of all states of this context.
            exactness: The level that holds in this context.
            bus: Where events go.
        """
        self._spec = spec
        self._submit = submit
        self._grant = grant
        self._keep = keep
        self._namespace = namespace
        self._exactness: Exactness = exactness
        self._bus = bus
        self._slots = SlotPool(n_slots)
        self._queue: deque[_Taken] = deque()
        self._running: dict[TurnId, _Taken] = {}
        self.n_cancelled = 0

    @property
    def n_queued(self) -> int:
        """Turns that wait for a sequence."""
        return len(self._queue)

    @property
    def n_running(self) -> int:
        """Turns that have one."""
        return len(self._running)

    @property
    def n_free_slots(self) -> int:
        """Sequences that nobody has."""
        return self._slots.n_free

    def take(self, message: TakeTurn, caller: Caller) -> None:
        """Queue a turn and start it if a sequence is free; refuse it if the queue is full."""
        if not caller.is_waiting:  # it left while the call was put aside, and takes no place in the queue
            return
        capacity = self._spec.engine_options.queue_capacity
        if self._slots.n_free == 0 and len(self._queue) >= capacity:
            self._tell(events.TURN_REFUSED, message.turn_id, {"n_queued": len(self._queue)}, reason="busy")
            caller.reply_error(Busy(model=self._spec.name, n_queued=len(self._queue), capacity=capacity))
            return
        self._queue.append(_Taken(message=message, caller=caller, taken_at_s=perf_counter()))
        if self._slots.n_free == 0:
            self._tell(events.TURN_QUEUED, message.turn_id, {"n_queued": len(self._queue)})
        self._admit()

    def report(self, report: StepReport) -> None:
        """Hand text to the readers and results to the callers; give freed sequences on."""
        for piece in report.pieces:
            taken = self._running.get(piece.turn_id)
            if taken is not None and taken.message.stream is not None:
                taken.message.stream.push(piece.text, piece.n_tokens)
        for end in report.ended:
            self._end(end)
        self._admit()

    def cancel(self, turn_id: TurnId, reason: str) -> None:
        """Forget a turn, queued or running; one that has ended is not known any more."""
        if turn_id in self._running:
            self._submit(CancelTurn(turn_id=turn_id, reason=reason))
        else:
            self._queue = deque(taken for taken in self._queue if taken.message.turn_id != turn_id)

    def cancel_running(self) -> None:
        """Stop every running turn; their ends are reported like any other."""
        for turn_id in self._running:
            self._submit(CancelTurn(turn_id=turn_id, reason=UNLOADING))

    def refuse_queued(self) -> None:
        """Send away everybody who waits."""
        while self._queue:
            taken = self._queue.popleft()
            self.refuse(taken.message, taken.caller)

    def refuse(self, message: TakeTurn, caller: Caller) -> None:
        """Send one caller away, because the model is being unloaded."""
        self._tell(events.TURN_REFUSED, message.turn_id, {"n_queued": len(self._queue)}, reason=UNLOADING)
        caller.reply_error(ModelUnavailable(model=self._spec.name, reason=UNLOADING))

    def _admit(self) -> None:
        """Give free sequences to the turns that have waited longest."""
        while self._slots.n_free and self._queue:
            taken = self._queue.popleft()
            if taken.caller.is_waiting:  # else its caller left while it was queued
                self._start(taken)

    def _start(self, taken: _Taken) -> None:
        taken.seq_id = self._slots.lease()
        turn_id, request, stream = taken.message.turn_id, taken.message.request, taken.message.stream
        self._running[turn_id] = taken
        if stream is not None:
            stream.connect(lambda n_tokens: self._grant(turn_id, n_tokens))
        self._submit(
            StartTurn(
                turn_id=turn_id,
                seq_id=taken.seq_id,
                prompt=request.prompt,
                sampling=request.sampling,
                max_tokens=request.max_tokens,
                stop=request.stop,
                keep=request.keep,
                restore=request.restore,
                credit=None if stream is None else stream.window,
            )
        )
        queue_s = perf_counter() - taken.taken_at_s
        measured = {"queue_s": queue_s, "n_prompt": len(request.prompt)}
        self._tell(events.TURN_STARTED, turn_id, measured, seq_id=taken.seq_id)

    def _end(self, end: TurnEnd) -> None:
        taken = self._running.pop(end.turn_id)
        self._slots.release(end.seq_id)
        if end.finish_reason in ("cancelled", "error"):
            self.n_cancelled += 1
            reason = end.cancel_reason if end.error is None else str(end.error)
            error = end.error or TurnCancelled(turn_id=end.turn_id, reason=reason)
            self._tell_failure(end, taken, reason, error)
            taken.caller.reply_error(error)
            return
        request = taken.message.request
        result = result_of(
            end,
            model=self._spec.name,
            seed=request.sampling.seed,
            taken_at_s=taken.taken_at_s,
            exactness=self._level(request, end),
            resume_key=self._save(request.prompt, end),
        )
        self._tell_result(result, request)
        taken.caller.reply(result)

    def _level(self, request: TurnRequest, end: TurnEnd) -> Exactness:
        """Say what held for one turn: a past that was computed again is not the one that was."""
        is_recomputed = request.restore is not None and end.n_restored == 0
        return "recomputed" if is_recomputed else self._exactness

    def _save(self, prompt: tuple[int, ...], end: TurnEnd) -> str | None:
        """Hand the turn boundary to the cache, if it was kept; return its key."""
        if end.kept is None:
            return None
        snapshot = Snapshot(
            namespace=self._namespace,
            tokens=(*prompt, *end.tokens),
            n_prompt=len(prompt),
            sampler=end.kept.record,
            kv=end.kept.kv,
            created_s=time(),
        )
        self._keep(snapshot)
        return snapshot.key

    def _tell_result(self, result: TurnResult, request: TurnRequest) -> None:
        if self._bus.is_listening(events.TURN_ENDED):
            usage, restore = result.usage, request.restore
            self._tell(
                events.TURN_ENDED,
                TurnId(result.turn_id),
                _cost(result.timings, usage, result.n_steps),
                finish_reason=result.finish_reason,
                exactness=result.exactness,
                cache_tier=restore.tier if restore is not None and usage.n_cached else None,
                prompt=request.prompt,
                text=result.text,
            )

    def _tell_failure(self, end: TurnEnd, taken: _Taken, reason: str, error: EngineError) -> None:
        if self._bus.is_listening(events.TURN_FAILED):
            usage = Usage(n_prompt=end.n_prompt, n_cached=end.n_restored, n_generated=len(end.tokens))
            timings = timings_of(end, taken_at_s=taken.taken_at_s)
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
            self._bus.execute(event, measured, {"model": self._spec.name, "turn_id": turn_id, **metadata})


def _cost(timings: Timings, usage: Usage, n_steps: int) -> dict[str, float]:
    return {
        "queue_s": timings.queue_s,
        "restore_s": timings.restore_s,
        "prefill_s": timings.prefill_s,
        "decode_s": timings.decode_s,
        "save_s": timings.save_s,
        "n_prompt": usage.n_prompt,
        "n_cached": usage.n_cached,
        "n_generated": usage.n_generated,
        "n_steps": n_steps,
    }
