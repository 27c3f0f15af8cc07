"""What cache and models could give back, as the ladders see it. Pure."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping, Sequence

from actorllama.engine.cache_messages import MemoryOffer
from actorllama.engine.memory_messages import HeldMemory, Parked
from actorllama.engine.pressure_plan import Freeable, Step
from actorllama.native.memory import HOST, MemoryDomain, MemoryReading
from actorllama.native.memory_devices import BufferSize, domain_of

__all__ = ["CACHE_OWNER", "bytes_in", "cache_offers", "model_offers", "room_share", "won_by_parking"]

CACHE_OWNER = "cache"


def bytes_in(buffers: Iterable[BufferSize], domain: MemoryDomain, devices: Mapping[str, MemoryDomain]) -> int:
    """Add up what freeing these would give back in a domain.

    On the host not everything that is allocated is there: compute buffers are touched as far as they are
    used, and of mapped weights the system drops what it needs without being asked. Neither is counted.
    """
    counted = (size for size in buffers if domain_of(size.label, devices) == domain)
    if domain != HOST:
        return sum(size.n_bytes for size in counted)
    return sum(
        size.n_bytes
        for size in counted
        if size.what in ("KV", "RS") or (size.what == "model" and not size.label.endswith("_Mapped"))
    )


def won_by_parking(parked: Parked, domain: MemoryDomain, devices: Mapping[str, MemoryDomain]) -> int:
    """Count what a parked context gave back; what of it went into the cache is still on the host."""
    won_bytes = bytes_in(parked.freed, domain, devices)
    return max(0, won_bytes - parked.kept_bytes) if domain == HOST else won_bytes


def cache_offers(offer: MemoryOffer) -> tuple[Freeable, ...]:
    """List what the cache could give back: its RAM lies on the host."""
    sizes = {
        Step.DEMOTE: (offer.demotable_bytes, offer.largest_bytes),
        Step.DROP_SCRATCH: (offer.scratch_bytes, mmap.PAGESIZE),
        Step.EVICT: (offer.evictable_bytes, offer.largest_bytes),
    }
    return tuple(
        Freeable(domain=HOST, step=step, owner=CACHE_OWNER, n_bytes=n_bytes, unit_bytes=max(1, unit_bytes))
        for step, (n_bytes, unit_bytes) in sizes.items()
        if n_bytes
    )


def model_offers(
    name: str, held: HeldMemory, domain: MemoryDomain, devices: Mapping[str, MemoryDomain]
) -> tuple[Freeable, ...]:
    """List what a model could give back in a domain: its context, or all of it; the oldest use first.

    What it keeps for the next copy of a sequence can go while it serves turns, too.
    """
    context_bytes = bytes_in(held.context, domain, devices)
    all_bytes = context_bytes + bytes_in(held.weights, domain, devices)
    sizes = {Step.SHRINK: context_bytes, Step.UNLOAD: all_bytes}
    offers = [
        Freeable(
            domain=domain,
            step=step,
            owner=name,
            n_bytes=n_bytes,
            unit_bytes=n_bytes,
            worth=held.used_at_s,
            is_active=held.is_active,
        )
        for step, n_bytes in sizes.items()
        if n_bytes
    ]
    if domain == HOST and held.scratch_bytes and name != CACHE_OWNER:  # it would be taken for the cache
        offers.append(
            Freeable(
                domain=domain,
                step=Step.DROP_SCRATCH,
                owner=name,
                n_bytes=held.scratch_bytes,
                unit_bytes=mmap.PAGESIZE,
                worth=held.used_at_s,
            )
        )
    if domain != HOST and all_bytes:
        offers.append(
            Freeable(domain=domain, step=Step.STOP_ADMITTING, owner=name, n_bytes=0, is_active=held.is_active)
        )
    return tuple(offers)


def room_share(
    buffers: Iterable[BufferSize],
    readings: Sequence[MemoryReading],
    devices: Mapping[str, MemoryDomain],
    *,
    high_share: float,
) -> float:
    """Say how much of these buffers there is room for below the high watermark: 0 to 1."""
    wanted = tuple(buffers)
    share = 1.0
    for reading in readings:
        needed = bytes_in(wanted, reading.domain, devices)
        if needed and reading.used_bytes is not None and reading.limit_bytes is not None:
            room = high_share * reading.limit_bytes - reading.used_bytes
            share = min(share, max(0.0, room / needed))
    return share
