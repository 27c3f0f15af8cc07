"""The actor of one loaded model: who may take a turn, on which sequence, and who hears of it."""

from __future__ import annotations

from time import perf_counter
from typing import ClassVar, TypeAlias

import trio

from actorllama.actors import (
    Arrow,
    Begin,
    Caller,
    Context,
    Crash,
    ExitReason,
    Keep,
    MachineInit,
    MachineOutcome,
    NextEvent,
    PostPone,
    ReplyTo,
    Shutdown,
    Source,
    StateMachine,
    StateTimeout,
    Stop,
    StopAndReply,
    Transition,
)
from actorllama.engine.cache_messages import FindPrefix, KeepCells, PrefixFound
from actorllama.engine.commands import Command
from actorllama.engine.delivery import Delivery
from actorllama.engine.host import EngineHost, Seat
from actorllama.engine.host_actor import GetHost
from actorllama.engine.load_job import LoadJob
from actorllama.engine.loader import Loader
from actorllama.engine.loop import EngineLoop
from actorllama.engine.memory_messages import (
    CloseDoor,
    ContextParked,
    ContextReopened,
    DropScratch,
    LeaveMemory,
    MemoryCall,
    MemoryNotice,
    OfferHeld,
    OpenDoor,
    Park,
    PressureOver,
)
from actorllama.engine.messages import (
    CancelTake,
    Describe,
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
from actorllama.engine.model_news import ModelNews
from actorllama.engine.model_state import GraceOver, ModelState, StartLoading
from actorllama.engine.opened import cells_of, info_of, status_of
from actorllama.engine.parking import Parking
from actorllama.engine.plan_parts import enough_together
from actorllama.engine.posting import poster
from actorllama.engine.reports import LoopFailed, StepReport
from actorllama.engine.spec import ModelSpec
from actorllama.engine.turn_desk import TurnDesk
from actorllama.errors import StateError

__all__ = ["ModelActor"]

ModelEvent: TypeAlias = ModelCall | ModelNotice | MemoryCall | MemoryNotice | StartLoading | GraceOver
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
        Arrow(ModelState.READY, Park, ModelState.PARKING),
        Arrow(ModelState.READY, PressureOver, ModelState.PARKING),
        Arrow(ModelState.READY, StepReport, ModelState.PARKING),
        Arrow(ModelState.PARKING, ContextParked, ModelState.PARKED),
        Arrow(ModelState.PARKED, TakeTurn, ModelState.OPENING),
        Arrow(ModelState.OPENING, ContextReopened, ModelState.READY),
    )

    def __init__(
        self, spec: ModelSpec, *, host_name: str, cache_name: str, pressure_name: str = "pressure"
    ) -> None:
        """Build from ``spec``; the host actor is found by name when loading begins."""
        self._spec = spec
        self._host_name = host_name
        self._cache_name = cache_name
        self._pressure_name = pressure_name
        self._desk: TurnDesk | None = None
        self._info: ModelInfo | None = None
        self._seat: Seat | None = None

    # -- life ----------------------------------------------------------------------------------

    async def init(self, ctx: Context) -> MachineInit[ModelState]:
        """Answer the supervisor at once; loading comes next."""
        self._context = ctx
        self._spec.board.begin()
        self._job = ctx.own(LoadJob(self._spec), LoadJob.close, abort=LoadJob.stop)
        self._news = ModelNews(self._spec, ctx.bus)
        self._parking = Parking(
            self._spec, ctx, self._job, cache_name=self._cache_name, pressure_name=self._pressure_name
        )
        self._delivery = Delivery(
            ref=ctx.ref,
            submit=self._submit,
            board=self._spec.board,
            tell=lambda statistics: self._news.step(statistics, n_queued=self._open_desk.n_queued),
            bus=ctx.bus,
        )
        self._began_s = perf_counter()
        return Begin(ModelState.LOADING, actions=(NextEvent(StartLoading()),))

    async def terminate(self, reason: ExitReason) -> None:
        """Take the loop off the host and free the memory; then the callers hear of the end."""
        self._spec.board.take_down()
        self._job.value.stop()  # a load under way ends soon, and closing waits for it
        await self._context.run_native(LoadJob.close, self._job)
        self._news.unloaded(n_cancelled=self._desk.n_cancelled if self._desk else 0)

    async def handle_event(self, state: ModelState, event: ModelEvent, source: Source) -> _Outcome:
        """Take one event, and show what it changed; calls that must wait for loading are postponed."""
        outcome = await self._take_event(state, event, source)
        if not isinstance(event, Describe | WaitReady):
            self._show(outcome.next_state if isinstance(outcome, Transition) else state)
        return outcome

    async def _take_event(self, state: ModelState, event: ModelEvent, source: Source) -> _Outcome:
        match event:
            case TakeTurn() | WaitReady() | Describe() | Unload():
                return await self._answer(state, event, source)
            case StartLoading():
                return await self._load()
            case LoadFinished():
                return self._loaded(event)
            case StepReport():
                return await self._report(state, event)
            case LoopFailed():
                return self._fail(state, event)
            case CancelTake() | GraceOver() | PrefixFound():
                self._relay(event)
                return Keep()
            case OfferHeld() | Park() | DropScratch() | LeaveMemory():
                return await self._answer_memory(state, event, source)
            case CloseDoor() | OpenDoor() | PressureOver() | ContextParked() | ContextReopened():
                return await self._note_memory(state, event)

    async def _answer(self, state: ModelState, event: ModelCall, source: Source) -> _Outcome:
        match event:
            case TakeTurn():
                return await self._take(state, event, source)
            case WaitReady() if state is ModelState.LOADING:
                return Keep(actions=(PostPone(),))
            case WaitReady():
                return Keep(actions=(ReplyTo(source.caller, self._info),))
            case Describe():
                return Keep(actions=(ReplyTo(source.caller, self._status(state)),))
            case Unload():
                return self._unload(state, event, source)

    def _relay(self, event: CancelTake | GraceOver | PrefixFound) -> None:
        if self._desk is None:
            return  # still loading: whoever left is noticed when its turn would be admitted
        match event:
            case CancelTake():
                self._desk.cancel(event.turn_id, event.reason)
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
        await self._context.start(
            lambda: Loader(
                self._job,
                self._host,
                pressure=self._context.whereis(self._pressure_name),
                fits_check=self._spec.fits_check,
                report_to=self._context.ref,
            )
        )
        return Keep()

    def _loaded(self, event: LoadFinished) -> _Outcome:
        opened = self._job.value.opened
        duration_s = perf_counter() - self._began_s
        if event.error is not None or opened is None:
            self._news.load_failed(event.error, duration_s=duration_s)
            # Not a crash: loading it again would fail again.
            return Stop(Shutdown(event.error))
        self._attach(opened, self._host)
        self._desk = TurnDesk(
            spec=self._spec,
            cells=cells_of(opened, self._spec),
            submit=self._submit,
            delivery=self._delivery,
            find=self._tell_cache,
            keep=self._tell_cache,
            reply_to=self._context.ref,
            exactness=opened.verdict.level,
            bus=self._context.bus,
        )
        self._news.loaded(opened, duration_s=duration_s)
        return Transition(ModelState.READY)

    def _attach(self, opened: Open, host: EngineHost) -> None:
        self._info = info_of(opened, self._spec)
        token = trio.lowlevel.current_trio_token()
        fail = poster(token, self._context.ref.info_nowait)
        loop = EngineLoop(
            context=opened.context,
            vocabulary=opened.model.vocabulary,
            post=poster(token, self._delivery.deliver),
            n_mixed=self._spec.engine_options.n_mixed,
            n_together=enough_together(self._spec.engine_options.n_together, opened.model.facts.buffers),
            pads_lone_rows=opened.verdict.pads_lone_rows,
            post_interval_s=self._spec.engine_options.post_interval_s,
            clock=host.clock,
        )
        self._seat = host.attach(
            loop, on_failed=lambda error: fail(LoopFailed(error=error)), weight=self._spec.weight
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

    async def _take(self, state: ModelState, message: TakeTurn, source: Source) -> _Outcome:
        caller = source.caller
        assert caller is not None, "TakeTurn is a call"
        match state:
            case ModelState.LOADING | ModelState.PARKING | ModelState.OPENING:
                return Keep(actions=(PostPone(),))
            case ModelState.READY | ModelState.PARKED if self._parking.closed_because:
                self._open_desk.turn_away(message, caller, self._parking.closed_because)
            case ModelState.PARKED:
                await self._parking.reopen(self._host)
                return Transition(ModelState.OPENING, actions=(PostPone(),))
            case ModelState.READY:
                self._parking.note_use()
                self._open_desk.take(message, caller)
            case ModelState.DRAINING:
                self._open_desk.refuse(message, caller)
        return Keep()

    async def _report(self, state: ModelState, report: StepReport) -> _Outcome:
        if report.ended:
            self._parking.note_use()
        self._open_desk.report(report)
        if state is ModelState.DRAINING and self._open_desk.n_running == 0:
            return Stop(Shutdown("unloaded"))
        return await self._park_to_grow(state)

    # -- memory ----------------------------------------------------------------------------------

    async def _answer_memory(self, state: ModelState, event: MemoryCall, source: Source) -> _Outcome:
        match event:
            case OfferHeld():
                is_known = state in (ModelState.READY, ModelState.DRAINING, ModelState.PARKED)
                held = self._parking.held(self._job.value, is_active=not self._is_idle(state))
                return Keep(actions=(ReplyTo(source.caller, held if is_known else None),))
            case Park() if state is ModelState.READY and self._is_idle(state):
                return await self._park(source.caller)
            case DropScratch():
                await self._parking.drop_scratch(event, source.caller, is_idle=self._is_idle(state))
                return Keep()
            case LeaveMemory() if self._is_idle(state):
                return StopAndReply(Shutdown(event.reason), (ReplyTo(source.caller, value=True),))
            case Park() | LeaveMemory():
                refusal = None if isinstance(event, Park) else False
                return Keep(actions=(ReplyTo(source.caller, refusal),))

    async def _note_memory(self, state: ModelState, event: MemoryNotice) -> _Outcome:
        match event:
            case CloseDoor() | OpenDoor():
                self._parking.closed_because = event.reason if isinstance(event, CloseDoor) else ""
                return Keep()
            case PressureOver():
                self._parking.wants_growth = self._parking.is_small
                return await self._park_to_grow(state)
            case ContextParked() | ContextReopened() if event.error is not None:
                return Stop(Crash(event.error))
            case ContextParked():
                self._parking.parked(event.parked)
                return Transition(ModelState.PARKED)
            case ContextReopened():
                opened = self._job.value.opened
                assert opened is not None
                self._attach(opened, self._host)
                self._open_desk.move(cells_of(opened, self._spec), opened.verdict.level)
                self._parking.reopened(opened)
                return Transition(ModelState.READY)

    def _is_idle(self, state: ModelState) -> bool:
        """Say whether no turn would be harmed if the context were closed now."""
        return state in (ModelState.READY, ModelState.PARKED) and self._open_desk.is_idle

    async def _park(self, caller: Caller | None) -> _Outcome:
        self._seat = None
        await self._parking.park(self._open_desk.idle_cells(), caller)
        return Transition(ModelState.PARKING)

    async def _park_to_grow(self, state: ModelState) -> _Outcome:
        """Put a context that was reopened smaller aside, so that the next turn finds a whole one."""
        if self._parking.wants_growth and state is ModelState.READY and self._is_idle(state):
            return await self._park(None)
        return Keep()

    @property
    def _open_desk(self) -> TurnDesk:
        assert self._desk is not None, "the desk opens when loading has finished"
        return self._desk

    def _fail(self, state: ModelState, event: LoopFailed) -> _Outcome:
        desk = self._open_desk
        self._news.failed(event.error, n_live=desk.n_running, n_queued=desk.n_queued)
        # A model that is being unloaded anyway is not to be loaded again by its supervisor.
        return Stop((Shutdown if state is ModelState.DRAINING else Crash)(event.error))

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
        return status_of(self._spec, state.value, self._info, self._desk, self._delivery.statistics)

    def _show(self, state: ModelState) -> None:
        statistics = self._delivery.statistics
        self._spec.board.hang(
            state.value,
            self._desk.readings() if self._desk else None,
            exactness=self._info.verdict.level if self._info else None,
            n_decoded=statistics.n_decoded if statistics else 0,
        )
