"""The actor of one loaded model: who may take a turn, on which sequence, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from time import perf_counter
from typing import ClassVar, TypeAlias

import trio
from attrs import evolve, frozen

from actorllama.actors import (
    Arrow,
    Begin,
    Context,
    Crash,
    ExitReason,
    Keep,
    MachineInit,
    MachineOutcome,
    NextEvent,
    PostPone,
    Ref,
    ReplyTo,
    Shutdown,
    Source,
    StateMachine,
    StateTimeout,
    Stop,
    StopAndReply,
    Transition,
)
from actorllama.engine import events
from actorllama.engine.cache_messages import FindPrefix, KeepCells, PrefixFound
from actorllama.engine.commands import Command, GrantCredit
from actorllama.engine.context_cells import ContextCells
from actorllama.engine.host import EngineHost, Seat
from actorllama.engine.host_actor import GetHost
from actorllama.engine.load_job import LoadJob
from actorllama.engine.loader import Loader
from actorllama.engine.loop import EngineLoop
from actorllama.engine.messages import (
    CancelTake,
    Describe,
    GiveCredit,
    LoadFinished,
    ModelCall,
    ModelInfo,
    ModelNotice,
    ModelStatus,
    Open,
    TakeTurn,
    Unload,
    WaitReady,
)
from actorllama.engine.reports import LoopFailed, LoopStatistics, Report, StepReport
from actorllama.engine.spec import ModelSpec
from actorllama.engine.turn_desk import TurnDesk
from actorllama.errors import StateError
from actorllama.ids import TurnId
from actorllama.telemetry import Event

__all__ = ["ModelActor", "ModelState"]


class ModelState(Enum):
    """Where a model stands."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


@frozen
class StartLoading:
    """Begin to load, once the supervisor has its answer."""


@frozen
class GraceOver:
    """The running turns had their time."""


ModelEvent: TypeAlias = ModelCall | ModelNotice | StartLoading | GraceOver
_Outcome: TypeAlias = MachineOutcome[ModelState]


class ModelActor(StateMachine[ModelState, ModelEvent]):
    """Own one model: its context, its sequences, its queue.

    It decides and delegates: loading goes to a `Loader`, computing to the engine host's thread, and
    every answer comes back as a message. A turn's caller waits in ``call(TakeTurn(...))``, so it hears
    of the death of this actor whatever kills it. Doubt about the context (``LoopFailed``) crashes the
    actor; its supervisor builds a new one from the same `ModelSpec`.

    Owner of: the `TurnDesk` (queue, slots, running turns) and the `LoadJob`.
    """

    transitions: ClassVar[tuple[Arrow, ...]] = (
        Arrow(ModelState.LOADING, LoadFinished, ModelState.READY),
        Arrow(ModelState.LOADING, Unload, ModelState.DRAINING),
        Arrow(ModelState.READY, Unload, ModelState.DRAINING),
    )

    def __init__(self, spec: ModelSpec, *, host_name: str, cache_name: str) -> None:
        """Build from ``spec``; the host actor is found by name when loading begins."""
        self._spec = spec
        self._host_name = host_name
        self._cache_name = cache_name
        self._desk: TurnDesk | None = None
        self._info: ModelInfo | None = None
        self._seat: Seat | None = None
        self._statistics: LoopStatistics | None = None

    # -- life ----------------------------------------------------------------------------------

    async def init(self, ctx: Context) -> MachineInit[ModelState]:
        """Answer the supervisor at once; loading comes next."""
        self._context = ctx
        self._spec.board.begin()
        self._job = ctx.own(LoadJob(self._spec), LoadJob.close, abort=LoadJob.stop)
        self._began_s = perf_counter()
        return Begin(ModelState.LOADING, actions=(NextEvent(StartLoading()),))

    async def terminate(self, reason: ExitReason) -> None:
        """Take the loop off the host and free the memory; then the callers hear of the end."""
        self._spec.board.take_down()
        self._job.value.stop()  # a load under way ends soon, and closing waits for it
        await self._context.run_native(LoadJob.close, self._job)
        self._tell(events.MODEL_UNLOADED, {"n_cancelled": self._desk.n_cancelled if self._desk else 0})

    async def handle_event(self, state: ModelState, event: ModelEvent, source: Source) -> _Outcome:
        """Take one event, and show what it changed; calls that must wait for loading are postponed."""
        outcome = await self._take_event(state, event, source)
        if not isinstance(event, GiveCredit | Describe | WaitReady):
            self._show(outcome.next_state if isinstance(outcome, Transition) else state)
        return outcome

    async def _take_event(self, state: ModelState, event: ModelEvent, source: Source) -> _Outcome:
        match event:
            case TakeTurn() | WaitReady() | Describe() | Unload():
                return self._answer(state, event, source)
            case StartLoading():
                return await self._load()
            case LoadFinished():
                return self._loaded(event)
            case StepReport():
                return self._report(state, event)
            case LoopFailed():
                return self._fail(state, event)
            case CancelTake() | GiveCredit() | GraceOver() | PrefixFound():
                self._relay(event)
                return Keep()

    def _answer(self, state: ModelState, event: ModelCall, source: Source) -> _Outcome:
        match event:
            case TakeTurn():
                return self._take(state, event, source)
            case WaitReady() if state is ModelState.LOADING:
                return Keep(actions=(PostPone(),))
            case WaitReady():
                return Keep(actions=(ReplyTo(source.caller, self._info),))
            case Describe():
                return Keep(actions=(ReplyTo(source.caller, self._status(state)),))
            case Unload():
                return self._unload(state, event, source)

    def _relay(self, event: CancelTake | GiveCredit | GraceOver | PrefixFound) -> None:
        if self._desk is None:
            return  # still loading: whoever left is noticed when its turn would be admitted
        match event:
            case CancelTake():
                self._desk.cancel(event.turn_id, event.reason)
            case GiveCredit():
                self._submit(GrantCredit(turn_id=event.turn_id, n_tokens=event.n_tokens))
            case GraceOver():
                self._desk.cancel_running()
            case PrefixFound():
                self._desk.found(event)

    # -- loading and unloading -----------------------------------------------------------------

    async def _load(self) -> _Outcome:
        host_ref = self._context.whereis(self._host_name)
        if host_ref is None:
            return Stop(Crash(StateError(operation="load", reason=f"there is no {self._host_name}")))
        self._host = await host_ref.call(GetHost())
        await self._context.start(lambda: Loader(self._job, self._host, self._context.ref))
        return Keep()

    def _loaded(self, event: LoadFinished) -> _Outcome:
        opened = self._job.value.opened
        duration_s = perf_counter() - self._began_s
        if event.error is not None or opened is None:
            about = {"model": self._spec.name, "path": str(self._spec.path), "error": event.error}
            self._context.bus.execute(events.LOAD_FAILED, {"duration_s": duration_s}, about)
            # Not a crash: loading it again would fail again.
            return Stop(Shutdown(event.error))
        self._attach(opened, self._host)
        facts, verdict = opened.context.facts, opened.verdict
        self._info = ModelInfo(
            facts=opened.model.facts,
            # Where rows are lent, a cell of each sequence is for that.
            context=evolve(facts, ctx_per_seq=facts.ctx_per_seq - verdict.pads_lone_rows),
            vocabulary=opened.model.vocabulary,
            options=self._spec.context_options,
            stream_window=self._spec.engine_options.stream_window,
            namespace=opened.namespace,
            verdict=verdict,
        )
        cells = ContextCells(
            n_slots=facts.n_seq,
            namespace=opened.namespace,
            block_tokens=self._spec.cache_options.block_tokens,
            n_reuse=self._spec.engine_options.n_reuse,
            shares=self._spec.engine_options.prefix_cache,
            cutter=opened.context.cutter,
            can_restore=verdict.level != "recomputed",
        )
        self._desk = TurnDesk(
            spec=self._spec,
            cells=cells,
            submit=self._submit,
            grant=_granter(self._context.ref),
            find=self._tell_cache,
            keep=self._tell_cache,
            reply_to=self._context.ref,
            exactness=verdict.level,
            bus=self._context.bus,
        )
        self._context.bus.execute(
            events.MODEL_LOADED,
            {
                "duration_s": duration_s,
                "weights_bytes": opened.model.facts.weights_bytes,
                "n_seq": facts.n_seq,
                "n_ctx_per_seq": facts.ctx_per_seq,
            },
            {
                "model": self._spec.name,
                "path": str(self._spec.path),
                "exactness": verdict.level,
                "exactness_source": verdict.source,
            },
        )
        if verdict.problem:
            about = {"model": self._spec.name, "error": verdict.problem}
            self._context.bus.execute(events.VERDICT_UNSAVED, {"n_checks": len(verdict.checks)}, about)
        return Transition(ModelState.READY)

    def _attach(self, opened: Open, host: EngineHost) -> None:
        post = _poster(self._context.ref, trio.lowlevel.current_trio_token())
        loop = EngineLoop(
            context=opened.context,
            vocabulary=opened.model.vocabulary,
            post=post,
            n_mixed=self._spec.engine_options.n_mixed,
            pads_lone_rows=opened.verdict.pads_lone_rows,
            post_interval_s=self._spec.engine_options.post_interval_s,
            clock=host.clock,
        )
        self._seat = host.attach(
            loop, on_failed=lambda error: post(LoopFailed(error=error)), weight=self._spec.weight
        )
        self._job.value.attach(host, self._seat)

    def _unload(self, state: ModelState, event: Unload, source: Source) -> _Outcome:
        if self._desk is not None:
            self._desk.refuse_queued()
        if self._desk is None or self._desk.n_running == 0:
            return StopAndReply(Shutdown("unloaded"), (ReplyTo(source.caller),))
        if state is ModelState.DRAINING:
            return Keep(actions=(ReplyTo(source.caller),))
        return Transition(
            ModelState.DRAINING, actions=(ReplyTo(source.caller), StateTimeout(event.grace_s, GraceOver()))
        )

    # -- turns ---------------------------------------------------------------------------------

    def _take(self, state: ModelState, message: TakeTurn, source: Source) -> _Outcome:
        caller = source.caller
        assert caller is not None, "TakeTurn is a call"
        match state:
            case ModelState.LOADING:
                return Keep(actions=(PostPone(),))
            case ModelState.READY:
                self._open_desk.take(message, caller)
            case ModelState.DRAINING:
                self._open_desk.refuse(message, caller)
        return Keep()

    def _report(self, state: ModelState, report: StepReport) -> _Outcome:
        self._statistics = report.statistics
        self._open_desk.report(report)
        self._tell_step(report.statistics)
        if state is ModelState.DRAINING and self._open_desk.n_running == 0:
            return Stop(Shutdown("unloaded"))
        return Keep()

    @property
    def _open_desk(self) -> TurnDesk:
        assert self._desk is not None, "the desk opens when loading has finished"
        return self._desk

    def _fail(self, state: ModelState, event: LoopFailed) -> _Outcome:
        self._context.bus.execute(
            events.MODEL_FAILED,
            {"n_live": self._open_desk.n_running, "n_queued": self._open_desk.n_queued},
            {"model": self._spec.name, "error": event.error},
        )
        # A model that is being unloaded anyway is not to be loaded again by its supervisor.
        is_leaving = state is ModelState.DRAINING
        return Stop(Shutdown(event.error) if is_leaving else Crash(event.error))

    # -- small things --------------------------------------------------------------------------

    def _tell_cache(self, message: FindPrefix | KeepCells) -> bool:
        """Ask the cache, or hand it something; without one nothing is found and nothing kept."""
        cache = self._context.whereis(self._cache_name)
        if cache is None:
            return False
        cache.info_nowait(message)
        return True

    def _submit(self, command: Command) -> None:
        if self._seat is not None:
            self._host.submit(self._seat, command)

    def _status(self, state: ModelState) -> ModelStatus:
        options, desk = self._spec.context_options, self._desk
        return ModelStatus(
            name=self._spec.name,
            state=state.value,
            path=str(self._spec.path),
            n_seq=options.n_seq,
            ctx_per_seq=self._info.context.ctx_per_seq if self._info else options.ctx_per_seq,
            n_live=desk.n_running if desk else 0,
            n_queued=desk.n_queued if desk else 0,
            n_free_slots=desk.n_free_slots if desk else 0,
            exactness=self._info.verdict.level if self._info else None,
            statistics=self._statistics,
        )

    def _show(self, state: ModelState) -> None:
        self._spec.board.hang(
            state.value,
            self._desk.readings() if self._desk else None,
            exactness=self._info.verdict.level if self._info else None,
            n_decoded=self._statistics.n_decoded if self._statistics else 0,
        )

    def _tell(self, event: Event, measurements: dict[str, float]) -> None:
        self._context.bus.execute(event, measurements, {"model": self._spec.name})

    def _tell_step(self, statistics: LoopStatistics) -> None:
        if self._context.bus.is_listening(events.STEP_REPORTED):
            self._tell(
                events.STEP_REPORTED,
                {
                    "n_steps": statistics.n_steps,
                    "n_prefilled": statistics.n_prefilled,
                    "n_decoded": statistics.n_decoded,
                    "n_live": statistics.n_live,
                    "n_queued": self._open_desk.n_queued,
                    "decode_s": statistics.decode_s,
                    "sample_s": statistics.sample_s,
                },
            )


def _poster(ref: Ref, token: trio.lowlevel.TrioToken) -> Callable[[Report], None]:
    """Make the function that the host thread reports with."""

    def post(report: Report) -> None:
        # Without an event loop nobody is left who could have listened.
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(ref.info_nowait, report)

    return post


def _granter(ref: Ref) -> Callable[[TurnId, int], None]:
    return lambda turn_id, n_tokens: ref.info_nowait(GiveCredit(turn_id=turn_id, n_tokens=n_tokens))
