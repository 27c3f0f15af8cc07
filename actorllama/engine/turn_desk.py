"""Who may take a turn, on which sequence, and who hears of its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter, time

from actorllama.actors import Caller, Ref
from actorllama.engine.cache_messages import FindPrefix, KeepCells, PrefixFound
from actorllama.engine.canary import Exactness
from actorllama.engine.commands import CancelTurn, Command, StartTurn
from actorllama.engine.context_cells import ContextCells
from actorllama.engine.delivery import Delivery
from actorllama.engine.first_cells import FirstCells
from actorllama.engine.gauges import DeskReadings
from actorllama.engine.idle_cells import IdleCells
from actorllama.engine.lineage import computed
from actorllama.engine.messages import TakeTurn
from actorllama.engine.prefix import Prefix
from actorllama.engine.reports import StepReport, TurnEnd
from actorllama.engine.request import TurnRequest
from actorllama.engine.result import result_of
from actorllama.engine.spec import ModelSpec
from actorllama.engine.taken_turn import TakenTurn
from actorllama.engine.turn_ledger import TurnLedger
from actorllama.engine.turn_news import TurnNews
from actorllama.errors import Busy, ModelUnavailable, TurnCancelled
from actorllama.ids import TurnId
from actorllama.kvcache import codec_named
from actorllama.telemetry import Bus

__all__ = ["TurnDesk"]

UNLOADING = "the model is being unloaded"


class TurnDesk:
    """The queue, the slots and the running turns of one context.

    A turn that is taken first finds out where its first cells could come from (`FirstCells`); then it waits
    for a sequence, in order.

    Owner: the model actor, which made it when its context opened; no other code touches it. It
    submits commands and answers callers, and never waits.
    """

    def __init__(
        self,
        *,
        spec: ModelSpec,
        cells: ContextCells,
        submit: Callable[[Command], None],
        delivery: Delivery,
        find: Callable[[FindPrefix], bool],
        keep: Callable[[KeepCells], bool],
        reply_to: Ref,
        exactness: Exactness,
        bus: Bus,
    ) -> None:
        """Begin with all sequences free.

        Args:
            spec: Name and bounds.
            cells: What the sequences hold, and which are free.
            submit: Hands a command to the engine loop.
            delivery: Hands text to the readers of the turns that run.
            find: Asks the cache for a prefix; False if there is none to ask.
            keep: Hands cells, and turns, to the cache, if there is one.
            reply_to: Gets the answers of the cache.
            exactness: The level that holds in this context.
            bus: Where events go.
        """
        self._spec = spec
        self._submit = submit
        self._delivery = delivery
        self._keep = keep
        self._exactness: Exactness = exactness
        self._is_rounded = codec_named(spec.cache_options.disk_codec).is_lossy
        self._news = TurnNews(model=spec.name, bus=bus)
        self._cells = cells
        self._queue: deque[TakenTurn] = deque()
        self._running: dict[TurnId, TakenTurn] = {}
        self._first_cells = FirstCells(
            spec=spec,
            cells=cells,
            exactness=exactness,
            queue=lambda: self._queue,
            running=self._running,
            submit=submit,
            find=find,
            reply_to=reply_to,
            statistics=lambda: delivery.statistics,
        )
        self._ledger = TurnLedger()
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
        return self._cells.n_free

    def readings(self) -> DeskReadings:
        """Say how things stand: queue, slots, and what became of the turns."""
        return DeskReadings(
            n_live=self.n_running,
            n_queued=self.n_queued,
            n_free_slots=self.n_free_slots,
            counts=self._ledger.counts,
            last_hit_tokens=self._ledger.last_hit_tokens,
            last_hit_source=self._ledger.last_hit_source,
        )

    @property
    def is_idle(self) -> bool:
        """Whether no turn runs and none waits."""
        return not self._running and not self._queue

    def idle_cells(self) -> tuple[IdleCells, ...]:
        """List what sequences hold that no turn has."""
        return self._cells.idle()

    def move(self, cells: ContextCells, exactness: Exactness) -> None:
        """Go on with another context, while no turn runs and none waits."""
        assert self.is_idle
        cells.token_s = self._cells.token_s
        self._cells, self._exactness = cells, exactness
        self._first_cells.move(cells, exactness)

    def take(self, message: TakeTurn, caller: Caller) -> None:
        """Queue a turn and start it if a sequence is free; refuse it if the queue is full."""
        if not caller.is_waiting:  # it left while the call was put aside, and takes no place in the queue
            return
        capacity = self._spec.engine_options.queue_capacity
        if self._n_waiting >= capacity and self._cells.n_free <= self.n_queued:
            self._news.refused(message.turn_id, self.n_queued, "busy")
            self._ledger.refuse()
            caller.reply_error(Busy(model=self._spec.name, n_queued=self.n_queued, capacity=capacity))
            return
        self._ledger.take()
        prefix = self._cells.prefix_of(message.request)
        self._queue.append(
            TakenTurn(message=message, caller=caller, taken_at_s=perf_counter(), prefix=prefix)
        )
        if self._cells.n_free == 0:
            self._news.queued(message.turn_id, self.n_queued)
        self._admit()

    def report(self, report: StepReport) -> None:
        """Hand results to the callers, whose readers have the text already; give freed sequences on."""
        ended = {end.turn_id for end in report.ended}
        for captured in report.captured:
            kept = self._first_cells.share(captured, has_ended=captured.turn_id in ended)
            if kept is not None:
                self._save(kept, self._running[captured.turn_id].prefix)
        for end in report.ended:
            self._end(end)
        self._cells.learn(report.statistics)
        self._admit()

    def found(self, message: PrefixFound) -> None:
        """Take the cache's answer about a turn that may have left meanwhile."""
        for taken in self._queue:
            if taken.message.turn_id == message.turn_id and taken.phase == "looking":
                taken.answer(message.restore, perf_counter())
        self._admit()

    def cancel(self, turn_id: TurnId, reason: str) -> None:
        """Forget a turn, queued or running; one that has ended is not known any more."""
        if turn_id in self._running:
            self._submit(CancelTurn(turn_id=turn_id, reason=reason))
        else:
            self._keep_queued(lambda taken: taken.message.turn_id != turn_id)
            self._admit()

    def cancel_running(self) -> None:
        """Stop every running turn; their ends are reported like any other."""
        for turn_id in self._running:
            self._submit(CancelTurn(turn_id=turn_id, reason=UNLOADING))

    def refuse_queued(self) -> None:
        """Send away everybody who waits."""
        self._ledger.lose(self.n_queued)
        while self._queue:
            taken = self._queue.popleft()
            self._send_away(taken.message, taken.caller)

    def refuse(self, message: TakeTurn, caller: Caller) -> None:
        """Do not take a turn, because the model is being unloaded."""
        self._ledger.refuse()
        self._send_away(message, caller)

    def turn_away(self, message: TakeTurn, caller: Caller, reason: str) -> None:
        """Do not take a turn now, for this reason; it may come again later."""
        self._ledger.refuse()
        self._news.refused(message.turn_id, self.n_queued, reason)
        capacity = self._spec.engine_options.queue_capacity
        caller.reply_error(
            Busy(model=self._spec.name, n_queued=self.n_queued, capacity=capacity, reason=reason)
        )

    def _send_away(self, message: TakeTurn, caller: Caller) -> None:
        self._news.refused(message.turn_id, self.n_queued, UNLOADING)
        caller.reply_error(ModelUnavailable(model=self._spec.name, reason=UNLOADING))

    # -- sequences -----------------------------------------------------------------------------

    @property
    def _n_waiting(self) -> int:
        return max(0, self.n_queued - self._cells.n_free)

    def _keep_queued(self, is_kept: Callable[[TakenTurn], bool]) -> None:
        """Forget turns that wait and need not any more."""
        n_before = self.n_queued
        self._queue = deque(taken for taken in self._queue if is_kept(taken))
        self._ledger.lose(n_before - self.n_queued)

    def _admit(self) -> None:
        """Give free sequences to the turns that have waited longest, of those that are ready."""
        if not self._queue:
            return
        self._keep_queued(lambda taken: taken.caller.is_waiting)
        self._first_cells.look_ahead()
        while self._cells.n_free:
            taken = next((taken for taken in self._queue if taken.phase == "ready"), None)
            if taken is None:
                return
            n_had = self._cells.n_available(taken)
            # A turn before it took the sequence that it counted on, or one alike has ended meanwhile.
            if n_had < taken.n_found or taken.n_saved - n_had >= self._spec.engine_options.n_reuse:
                self._first_cells.look(taken)
            elif not self._first_cells.follow(taken, n_had):  # one that was alike may have started meanwhile
                self._queue.remove(taken)
                self._start(taken)
                self._first_cells.look_ahead()

    def _start(self, taken: TakenTurn) -> None:
        turn_id, request, stream = taken.message.turn_id, taken.message.request, taken.message.stream
        n_live = self._cells.lease(taken)
        self._running[turn_id] = taken
        taken.phase = "running"
        if stream is not None:
            self._delivery.open(turn_id, stream)
        assert taken.seq_id is not None
        self._submit(
            StartTurn(
                turn_id=turn_id,
                seq_id=taken.seq_id,
                prompt=request.prompt,
                sampling=request.sampling,
                max_tokens=request.max_tokens,
                stop=request.stop,
                record=request.record,
                n_live=n_live,
                restore=taken.restore,
                keep=request.keep,
                save_from=self._cells.save_from(taken) if self._spec.engine_options.prefix_cache else None,
                credit=None if stream is None else stream.window,
            )
        )
        taken.restore = None  # the engine has it now; its memory is not ours to hold
        self._news.started(taken)

    def _end(self, end: TurnEnd) -> None:
        taken = self._running.pop(end.turn_id)
        self._delivery.close(end.turn_id)
        self._ledger.end(end)
        request = taken.message.request
        lineage = computed(request.prompt, request.past, n_restored=end.n_restored, reply=end.tokens)
        prefix = self._cells.release(taken, end, lineage)
        self._first_cells.lose_leader(end.turn_id)
        if end.finish_reason in ("cancelled", "error"):
            self.n_cancelled += 1
            self._keep_turn(taken, end, lineage, prefix)
            reason = end.cancel_reason if end.error is None else str(end.error)
            error = end.error or TurnCancelled(turn_id=end.turn_id, reason=reason)
            self._news.failed(end, taken, reason, error)
            taken.caller.reply_error(error)
            return
        result = result_of(
            end,
            model=self._spec.name,
            seed=request.sampling.seed,
            taken_at_s=taken.taken_at_s,
            lookup_s=taken.lookup_s(end.source),
            exactness=self._level(request, end),
            lineage=lineage,
            resume_key=self._keep_turn(taken, end, lineage, prefix),
        )
        self._news.ended(result, request)
        taken.caller.reply(result)

    def _level(self, request: TurnRequest, end: TurnEnd) -> Exactness:
        """Say what held for one turn (docs/semantics.md): a past computed again is not the one that was."""
        if self._is_rounded and end.n_restored > 0:
            return "lossy"  # these cells, or those that they went on from, may have come from the disk
        return "recomputed" if end.n_restored < request.n_past else self._exactness

    def _keep_turn(
        self, taken: TakenTurn, end: TurnEnd, lineage: tuple[int, ...], prefix: Prefix
    ) -> str | None:
        """Hand what the turn computed to the cache; return the key of a turn that was kept."""
        if end.kept is None:
            return None
        message = self._cells.kept_turn(taken, end, end.kept, lineage=lineage, created_s=time())
        self._save(message, prefix)
        return None if message.snapshot is None else message.snapshot.key

    def _save(self, message: KeepCells, prefix: Prefix) -> None:
        """Hand cells to the cache; turns that asked it before may find them, too."""
        if self._keep(message):
            for taken in self._queue:
                taken.note_saved(prefix, len(message.tokens))
