"""The actor that looks at memory, and asks the owners to give some back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias, assert_never

import trio
from attrs import frozen

from actorllama.actors import (
    Caller,
    Context,
    Ignore,
    InitOutcome,
    NoReply,
    Outcome,
    Owned,
    Ready,
    Ref,
    Reply,
    Server,
    which_children,
)
from actorllama.engine.asker import Asked, Asker
from actorllama.engine.cache_messages import OfferMemory
from actorllama.engine.memory_messages import (
    AskRoom,
    CloseDoor,
    HeldMemory,
    MemoryView,
    OfferHeld,
    OpenDoor,
    PressureCall,
    PressureOver,
    ReadMemory,
    WhyGone,
)
from actorllama.engine.memory_watch import MemoryWatch
from actorllama.engine.pressure_news import PressureNews
from actorllama.engine.pressure_offers import CACHE_OWNER, cache_offers, model_offers, room_share
from actorllama.engine.pressure_options import PressureOptions
from actorllama.engine.pressure_plan import (
    Ask,
    Freeable,
    PressurePlan,
    PressureState,
    Step,
    fold_outcome,
    plan_pressure,
)
from actorllama.engine.pressure_view import ShowPressure, view_of
from actorllama.errors import ActorError
from actorllama.native import Backend
from actorllama.native.memory import MemoryDomain, MemoryReading, MemorySource, SourceReport

__all__ = ["PressureActor"]

_OFFER_TIMEOUT_S = 1.0


@frozen(kw_only=True)
class Look:
    """It is time to look again."""


PressureNotice: TypeAlias = Look | Asked


class PressureActor(Server[PressureCall, None, PressureNotice]):
    """Sample memory; where it is short, walk down the ladder of that domain (`pressure_plan.py`).

    It holds no memory itself and frees none: owners are asked, and each decides whether it can. A model
    that serves a turn, or has one waiting, refuses. Sources are read in a thread. The next look comes
    ``sample_interval_s`` after the last one, and at once when the last answer of a step is in.

    Owner of: the ladders' state, the `MemoryWatch`.
    """

    def __init__(
        self,
        options: PressureOptions,
        *,
        sources: Sequence[MemorySource] | None,
        backend: Backend,
        cache_name: str,
        models_name: str,
        model_name: Callable[[str], str],
    ) -> None:
        """Watch ``sources``, or those of this machine.

        Args:
            options: Watermarks and bounds.
            sources: Who reads memory; ``None`` are this machine's, none at all never looks.
            backend: Knows the devices on which models lie.
            cache_name: Under which the cache is registered.
            models_name: Under which the supervisor of the models is.
            model_name: Gives the name of a model's actor.
        """
        self._options = options
        self._is_on = options.sample_interval_s > 0 and (sources is None or len(sources) > 0)
        self._sources = sources
        self._backend = backend
        self._cache_name = cache_name
        self._models_name = models_name
        self._model_name = model_name
        self._state = PressureState()
        self._readings: tuple[MemoryReading, ...] = ()
        self._devices: Mapping[str, MemoryDomain] = {}
        self._told: dict[str, Ref] = {}
        self._gone: dict[str, str] = {}
        self._won: Counter[tuple[MemoryDomain, Step]] = Counter()

    async def init(self, ctx: Context) -> InitOutcome:
        """Answer the supervisor at once; the first look comes next. Who never looks need not be there."""
        if not self._is_on:
            return Ignore()
        self._context = ctx
        self._news = PressureNews(ctx.bus)
        watch = MemoryWatch(self._sources, self._backend)
        self._watch: Owned[MemoryWatch] = ctx.own(watch, MemoryWatch.close)
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Let in whom an earlier incarnation kept out, and look."""
        for name in await self._names():
            self._tell(name, OpenDoor())
        await self._look(MemoryWatch.look)
        self._context.send_after(self._options.sample_interval_s, Look())
        return NoReply()

    async def handle_call(self, message: PressureCall, caller: Caller) -> Outcome:
        """Answer from the last look."""
        match message:
            case AskRoom():
                await self._learn_devices()
                share = room_share(
                    message.buffers, self._readings, self._devices, high_share=self._options.high_share
                )
                return Reply(share)
            case ReadMemory():
                await self._learn_devices()
                return Reply(MemoryView(readings=self._readings, devices=self._devices))
            case WhyGone():
                return Reply(self._gone.get(message.model))
            case ShowPressure():
                offers = await self._offers(tuple({reading.domain for reading in self._readings}))
                return Reply(view_of(self._state, self._readings, offers, self._won, self._options))
        assert_never(message)

    async def handle_info(self, message: PressureNotice) -> Outcome:
        """Look, or take an answer in."""
        match message:
            case Look():
                await self._look(MemoryWatch.look)
                self._context.send_after(self._options.sample_interval_s, message)
            case Asked():
                await self._answered(message)
            case _:
                assert_never(message)
        return NoReply()

    # -- looking -------------------------------------------------------------------------------

    async def _look(self, look: Callable[[MemoryWatch], tuple[SourceReport, ...]]) -> None:
        """Read all sources, decide, and have it done."""
        reports = await self._context.run_native(look, self._watch)
        self._news.sources(reports)
        self._readings = tuple(reading for report in reports for reading in report.readings)
        plan = self._plan(())
        pressed = [domain for domain, state in plan.state.domains.items() if state.is_pressed]
        if pressed:
            plan = self._plan(await self._offers(pressed))
        await self._perform(plan)

    def _plan(self, offers: Sequence[Freeable]) -> PressurePlan:
        now_s = trio.current_time()
        return plan_pressure(self._state, self._readings, offers, self._options, now_s=now_s)

    async def _learn_devices(self) -> None:
        domains = frozenset(reading.domain for reading in self._readings)
        self._devices = await self._context.run_native(lambda watch: watch.devices(domains), self._watch)

    async def _offers(self, domains: Sequence[MemoryDomain]) -> tuple[Freeable, ...]:
        """Ask everybody what could go."""
        await self._learn_devices()
        offers: list[Freeable] = []
        cache = self._context.whereis(self._cache_name)
        if cache is not None:
            with suppress(ActorError):
                offers += cache_offers(await cache.call(OfferMemory(), timeout_s=_OFFER_TIMEOUT_S))
        for name in await self._names():
            held = await self._held(name)
            if held is not None:
                for domain in domains:
                    offers += model_offers(name, held, domain, self._devices)
        return tuple(offers)

    async def _held(self, name: str) -> HeldMemory | None:
        ref = self._context.whereis(self._model_name(name))
        if ref is None:
            return None
        try:
            return await ref.call(OfferHeld(), timeout_s=_OFFER_TIMEOUT_S)
        except ActorError:
            return None

    async def _names(self) -> tuple[str, ...]:
        models = self._context.whereis(self._models_name)
        if models is None:
            return ()
        try:
            children = await which_children(models, timeout_s=_OFFER_TIMEOUT_S)
        except ActorError:
            return ()
        return tuple(child.id for child in children)

    # -- acting --------------------------------------------------------------------------------

    async def _perform(self, plan: PressurePlan) -> None:
        self._state = plan.state
        for domain in plan.began:
            self._news.began(domain, self._readings)
        for domain in plan.ended:
            self._news.ended(domain, self._readings)
        for ask in plan.asks:
            self._news.asked(ask)
            if ask.step is not Step.STOP_ADMITTING:
                await self._ask(ask)
        self._keep_doors()
        if plan.ended:
            for name in await self._names():
                self._tell(name, PressureOver())

    async def _ask(self, ask: Ask) -> None:
        name = self._cache_name if ask.owner == CACHE_OWNER and ask.step <= Step.EVICT else None
        owner = self._context.whereis(name or self._model_name(ask.owner))
        report_to, devices, timeout_s = self._context.ref, self._devices, self._options.answer_timeout_s
        await self._context.start(
            lambda: Asker(ask, owner, devices=devices, timeout_s=timeout_s, report=report_to.info_nowait)
        )

    async def _answered(self, message: Asked) -> None:
        answer = message.answer
        self._news.won(answer, duration_s=message.duration_s, error=message.error)
        self._state = fold_outcome(self._state, answer)
        self._won[answer.ask.domain, answer.ask.step] += answer.won_bytes
        if answer.ask.step is Step.UNLOAD and answer.won_bytes:
            self._gone[answer.ask.owner] = f"it was unloaded: memory of {answer.ask.domain.name} was short"
        if not self._state.of(answer.ask.domain).pending:
            await self._look(MemoryWatch.trim_and_look)

    def _keep_doors(self) -> None:
        """Have every model know whether it may take turns, one that was restarted too."""
        closed = {
            name: f"memory of {domain.name} is short"
            for domain, state in self._state.domains.items()
            for name in state.closed
        }
        for name in [name for name in self._told if name not in closed]:
            del self._told[name]
            self._tell(name, OpenDoor())
        for name, reason in closed.items():
            ref = self._context.whereis(self._model_name(name))
            if ref is not None and self._told.get(name) is not ref:
                self._told[name] = ref
                ref.info_nowait(CloseDoor(reason=reason))

    def _tell(self, name: str, message: OpenDoor | PressureOver) -> None:
        ref = self._context.whereis(self._model_name(name))
        if ref is not None:
            ref.info_nowait(message)
