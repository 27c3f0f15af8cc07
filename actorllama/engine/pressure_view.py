"""How memory stands, as the pressure actor sees it: frozen values for whoever looks in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from actorllama.actors import Call
from actorllama.engine.pressure_options import PressureOptions
from actorllama.engine.pressure_plan import Freeable, PressureState, Step
from actorllama.native.memory import MemoryDomain, MemoryReading, tightest

__all__ = ["DomainView", "ShowPressure", "WonBytes", "view_of"]

WonBytes = Mapping[tuple[MemoryDomain, Step], int]


@frozen(kw_only=True)
class DomainView:
    """One domain: how full it is, what its ladder does, and what it has brought."""

    domain: MemoryDomain
    is_pressed: bool
    """Set at the high watermark, until the low one is seen again."""
    used_bytes: int | None
    """Of the limit that leaves the least; ``None`` where no source tells."""
    limit_bytes: int | None
    low_share: float
    high_share: float
    stall_share: float | None
    rung: Step | None
    """The step that was asked for and has no answer, else the mildest that is still tried; ``None``: calm."""
    n_pending: int
    """Owners that have not answered."""
    closed: tuple[str, ...]
    """Models that take no new turns."""
    offered: tuple[tuple[Step, int], ...]
    """Bytes that owners would give back now, by step, mildest first; those of active models are not in it."""
    won: tuple[tuple[Step, int], ...]
    """Bytes that they gave back since the runtime was opened, by step."""


@frozen(kw_only=True)
class ShowPressure(Call[tuple[DomainView, ...]]):
    """Ask the pressure actor how memory stands; it asks the owners what they could give."""


def view_of(
    state: PressureState,
    readings: Sequence[MemoryReading],
    offers: Iterable[Freeable],
    won: WonBytes,
    options: PressureOptions,
) -> tuple[DomainView, ...]:
    """Put what is known of each domain together, the host's first."""
    offered = tuple(offers)
    domains = sorted({reading.domain for reading in readings}, key=lambda one: (one.kind != "host", one.name))
    return tuple(_domain_view(domain, state, readings, offered, won, options) for domain in domains)


def _domain_view(
    domain: MemoryDomain,
    state: PressureState,
    readings: Sequence[MemoryReading],
    offers: Sequence[Freeable],
    won: WonBytes,
    options: PressureOptions,
) -> DomainView:
    known, tight = state.of(domain), tightest(readings, domain)
    stalls = [r.stall_share for r in readings if r.domain == domain and r.stall_share is not None]
    free = [item for item in offers if item.domain == domain and item.n_bytes and not item.is_active]
    rung = known.pending[0].step if known.pending else known.floor
    return DomainView(
        domain=domain,
        is_pressed=known.is_pressed,
        used_bytes=None if tight is None else tight.used_bytes,
        limit_bytes=None if tight is None else tight.limit_bytes,
        low_share=options.low_share,
        high_share=options.high_share,
        stall_share=max(stalls, default=None),
        rung=rung if known.is_pressed else None,
        n_pending=len(known.pending),
        closed=tuple(sorted(known.closed)),
        offered=_by_step((item.step, item.n_bytes) for item in free),
        won=_by_step((step, n_bytes) for (where, step), n_bytes in won.items() if where == domain),
    )


def _by_step(parts: Iterable[tuple[Step, int]]) -> tuple[tuple[Step, int], ...]:
    sums: dict[Step, int] = {}
    for step, n_bytes in parts:
        sums[step] = sums.get(step, 0) + n_bytes
    return tuple(sorted(sums.items()))
