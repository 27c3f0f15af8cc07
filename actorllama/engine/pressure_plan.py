"""Decide who gives memory back, and how much. Pure: values in, a plan and a new state out.

Each domain has a ladder of its own, mildest step first, and only what frees memory in that domain is on it.
llama.cpp allocates a context's cells at once, so on a GPU no eviction helps: a context is rebuilt smaller, or
its model goes.

The host's ladder: demote RAM entries to disk, drop scratch memory, evict, unload idle models. A GPU's: stop
admitting turns to models on it, save and shrink their idle contexts, unload idle models. What serves an
active turn is on no ladder but for the first step of a GPU's, which keeps new turns out and stops none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from attrs import evolve, field, frozen

from actorllama.engine.pressure_options import PressureOptions
from actorllama.native.memory import MemoryDomain, MemoryReading, tightest

__all__ = [
    "Ask",
    "DomainState",
    "Freeable",
    "Outcome",
    "PressurePlan",
    "PressureState",
    "Step",
    "fold_outcome",
    "plan_pressure",
]


class Step(IntEnum):
    """What can be done, mildest first. A domain's ladder is those of them that it is offered."""

    DEMOTE = 0
    DROP_SCRATCH = 1
    EVICT = 2
    STOP_ADMITTING = 3
    SHRINK = 4
    UNLOAD = 5


@frozen(kw_only=True)
class Freeable:
    """Something that its owner could give back.

    ``n_bytes`` is the most that it would free in ``domain``, ``unit_bytes`` the least piece that it can be
    asked for (an entry, a block; all of it where it cannot be divided). ``worth`` orders equals: the least
    goes first. ``is_active``: it serves a turn now.
    """

    domain: MemoryDomain
    step: Step
    owner: str
    n_bytes: int
    unit_bytes: int = 1
    worth: float = 0.0
    is_active: bool = False


@frozen(kw_only=True)
class Ask:
    """A request to one owner. ``n_bytes`` is 0 for ``STOP_ADMITTING``, which frees nothing by itself."""

    domain: MemoryDomain
    step: Step
    owner: str
    n_bytes: int


@frozen(kw_only=True)
class Outcome:
    """What came of an ask; ``won_bytes`` is 0 if the owner refused or could not."""

    ask: Ask
    won_bytes: int


@frozen(kw_only=True)
class DomainState:
    """What is remembered of one domain between readings.

    ``is_pressed`` was set above the high watermark and lasts until below the low one. ``floor`` is the
    mildest step that is still worth a try: what gave nothing is not asked again before the pressure is over.
    ``pending`` are asks without an outcome; ``closed`` are the models that no turn is admitted to.
    """

    is_pressed: bool = False
    floor: Step = Step.DEMOTE
    asked_at_s: float = -math.inf
    pending: tuple[Ask, ...] = ()
    won_since_asked_bytes: int = 0
    closed: frozenset[str] = frozenset()
    asked_bytes: int = 0
    won_bytes: int = 0


_CALM: Final = DomainState()
_STALL_WINDOW_S: Final = 10.0  # stalls are a mean over this time: what is freed now shows only after it


@frozen(kw_only=True)
class PressureState:
    """Every domain's state; a domain that is not in it is calm."""

    domains: Mapping[MemoryDomain, DomainState] = field(factory=lambda: MappingProxyType({}))

    def of(self, domain: MemoryDomain) -> DomainState:
        """Give what is remembered of a domain."""
        return self.domains.get(domain, _CALM)

    def with_domain(self, domain: MemoryDomain, state: DomainState) -> PressureState:
        """Replace what is remembered of a domain."""
        return PressureState(domains=MappingProxyType({**self.domains, domain: state}))


@frozen(kw_only=True)
class PressurePlan:
    """What to do now, and the state after it.

    ``asks`` go to their owners. ``reopen`` are the models, by domain, that may admit turns again.
    ``began`` and ``ended`` are the domains whose pressure did.
    """

    state: PressureState
    asks: tuple[Ask, ...] = ()
    reopen: tuple[tuple[MemoryDomain, str], ...] = ()
    began: tuple[MemoryDomain, ...] = ()
    ended: tuple[MemoryDomain, ...] = ()


def plan_pressure(
    state: PressureState,
    readings: Iterable[MemoryReading],
    freeable: Iterable[Freeable],
    options: PressureOptions,
    *,
    now_s: float,
) -> PressurePlan:
    """Decide what to ask of whom.

    One step of a domain's ladder at a time: the mildest that is offered anything, has not given nothing
    before, and only when the last asks have been answered (or are late) and ``interval_s`` has passed. What
    is asked for brings the domain to its low watermark, and is at most one unit more. A domain without a
    reading stays as it is: not knowing is no pressure, and no relief.

    Pressure ends when memory is seen at or below the low watermark, so read and plan again as soon as the
    last answer is in: by the next regular look a busy process has grown past it again.

    Args:
        state: What the last plan or fold left.
        readings: One round of all sources.
        freeable: What could be freed now.
        options: Watermarks and bounds.
        now_s: The time, on a clock that does not go back.
    """
    seen = tuple(readings)
    offered = tuple(freeable)
    plan = PressurePlan(state=state)
    for domain in dict.fromkeys(reading.domain for reading in seen):
        plan = _plan_domain(plan, domain, seen, offered, options, now_s)
    return plan


def fold_outcome(state: PressureState, outcome: Outcome) -> PressureState:
    """Take in what came of an ask.

    An ask that is not pending (late, or answered before) changes nothing but the bytes won. When the last
    answer of a step is in and all of it together gave nothing, the step is not tried again until the
    pressure is over.
    """
    domain = outcome.ask.domain
    known = state.of(domain)
    won = max(0, outcome.won_bytes)
    known = evolve(known, won_bytes=known.won_bytes + won)
    if outcome.ask not in known.pending:
        return state.with_domain(domain, known)
    pending = tuple(ask for ask in known.pending if ask != outcome.ask)
    known = evolve(known, pending=pending, won_since_asked_bytes=known.won_since_asked_bytes + won)
    if not pending and not known.won_since_asked_bytes and outcome.ask.n_bytes:
        known = evolve(known, floor=_above(outcome.ask.step))
    return state.with_domain(domain, known)


def _plan_domain(
    plan: PressurePlan,
    domain: MemoryDomain,
    readings: Sequence[MemoryReading],
    freeable: Sequence[Freeable],
    options: PressureOptions,
    now_s: float,
) -> PressurePlan:
    known = plan.state.of(domain)
    pressed = _is_pressed(known, readings, domain, options)
    if pressed is None:
        return plan
    if not pressed:
        return _calmed(plan, domain, known)
    if not known.is_pressed:
        plan = evolve(plan, began=(*plan.began, domain))
        known = evolve(known, is_pressed=True)
    known = _without_late(known, options, now_s)
    asks: tuple[Ask, ...] = ()
    needed, is_measured = _needed_bytes(readings, domain, options)
    interval_s = options.interval_s if is_measured else max(options.interval_s, _STALL_WINDOW_S)
    if not known.pending and now_s - known.asked_at_s >= interval_s:
        asks = _next_asks(known, domain, freeable, needed)
    if asks:
        known = _asked(known, asks, now_s)
    return evolve(plan, state=plan.state.with_domain(domain, known), asks=(*plan.asks, *asks))


def _is_pressed(
    known: DomainState, readings: Sequence[MemoryReading], domain: MemoryDomain, options: PressureOptions
) -> bool | None:
    """Say whether a domain is under pressure; ``None`` where nothing tells."""
    tight = tightest(readings, domain)
    share = tight.used_share if tight is not None else None
    stalls = [r.stall_share for r in readings if r.domain == domain and r.stall_share is not None]
    stall = max(stalls, default=None)
    if share is None and stall is None:
        return None
    if (share or 0.0) >= options.high_share or (stall or 0.0) >= options.high_stall_share:
        return True
    # Between the watermarks it is as it was: pressure that came goes on, and none comes.
    is_low = (share or 0.0) <= options.low_share and (stall or 0.0) <= options.low_stall_share
    return known.is_pressed and not is_low


def _needed_bytes(
    readings: Sequence[MemoryReading], domain: MemoryDomain, options: PressureOptions
) -> tuple[int, bool]:
    """Count what must go for every limit to be at its low watermark, and say whether a limit told it."""
    over = [
        reading.used_bytes - math.floor(options.low_share * reading.limit_bytes)
        for reading in readings
        if reading.domain == domain and reading.used_bytes is not None and reading.limit_bytes is not None
    ]
    most = max(over, default=0)
    return (most, True) if most > 0 else (options.stall_relief_bytes, False)


def _calmed(plan: PressurePlan, domain: MemoryDomain, known: DomainState) -> PressurePlan:
    if not known.is_pressed:
        return plan
    calm = evolve(known, is_pressed=False, floor=Step.DEMOTE, closed=frozenset())
    reopen = tuple((domain, owner) for owner in sorted(known.closed))
    return evolve(
        plan,
        state=plan.state.with_domain(domain, calm),
        reopen=(*plan.reopen, *reopen),
        ended=(*plan.ended, domain),
    )


def _without_late(known: DomainState, options: PressureOptions, now_s: float) -> DomainState:
    """Give up waiting for answers that are overdue; a step that gave nothing by then is done with."""
    if not known.pending or now_s - known.asked_at_s < options.answer_timeout_s:
        return known
    step = known.pending[0].step
    gave = known.won_since_asked_bytes or not any(ask.n_bytes for ask in known.pending)
    return evolve(known, pending=(), floor=known.floor if gave else max(known.floor, _above(step)))


def _next_asks(
    known: DomainState, domain: MemoryDomain, freeable: Sequence[Freeable], needed: int
) -> tuple[Ask, ...]:
    """Take the mildest step that offers anything, from its least worthy on, until enough is asked for."""
    usable = [
        item
        for item in freeable
        if item.domain == domain and item.step >= known.floor and _can_go(item, known)
    ]
    if not usable:
        return ()
    mildest = min(item.step for item in usable)
    chosen = sorted((i for i in usable if i.step == mildest), key=lambda item: (item.worth, item.owner))
    asks: list[Ask] = []
    left = needed
    for item in chosen:
        if mildest is not Step.STOP_ADMITTING and left <= 0:
            break
        n_bytes = 0 if mildest is Step.STOP_ADMITTING else _whole_units(item, left)
        asks.append(Ask(domain=domain, step=mildest, owner=item.owner, n_bytes=n_bytes))
        left -= n_bytes
    return tuple(asks)


def _can_go(item: Freeable, known: DomainState) -> bool:
    if item.step is Step.STOP_ADMITTING:
        return item.owner not in known.closed
    return item.n_bytes > 0 and not item.is_active


def _whole_units(item: Freeable, needed: int) -> int:
    unit = max(1, item.unit_bytes)
    return min(item.n_bytes, -(-needed // unit) * unit)


def _asked(known: DomainState, asks: tuple[Ask, ...], now_s: float) -> DomainState:
    closing = frozenset(ask.owner for ask in asks if ask.step is Step.STOP_ADMITTING)
    return evolve(
        known,
        asked_at_s=now_s,
        pending=tuple(ask for ask in asks if ask.n_bytes),
        won_since_asked_bytes=0,
        closed=known.closed | closing,
        asked_bytes=known.asked_bytes + sum(ask.n_bytes for ask in asks),
    )


def _above(step: Step) -> Step:
    """Give the next harder step; the hardest is its own, and may be asked again."""
    return Step(min(step + 1, Step.UNLOAD))
