"""Commands about memory: what the cache holds, and how full each memory is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio
from attrs import fields

from actorllama.cli.console.desk import Desk
from actorllama.cli.console.pressure_words import pressure_lines
from actorllama.cli.console.table import Command
from actorllama.cli.screen import size_of
from actorllama.engine import FindSnapshot, ReadCacheStatistics, ShowPressure
from actorllama.errors import ActorNotFound, RequestError
from actorllama.kvcache import DiskStatistics, RamStatistics
from actorllama.native.memory import SourceReport
from actorllama.native.memory_sources import default_sources, read_all

__all__ = ["MEMORY_COMMANDS"]

_CACHE: Final = "cache"
_PRESSURE: Final = "pressure"


async def _cache(desk: Desk, rest: str) -> None:
    ref = desk.runtime.system.whereis(_CACHE)
    if ref is None:
        raise ActorNotFound(name=_CACHE)
    if rest:
        found = await ref.call(FindSnapshot(key=rest))
        if found is None:
            raise RequestError(field="key", value=rest, reason="nothing is saved under it")
        rows = [("tier", found.tier), ("entry", repr(found.entry))]
        desk.front.show_table(("WHAT", "VALUE"), rows)
        return
    told = await ref.call(ReadCacheStatistics())
    disk = {} if told.disk is None else _counts(told.disk)
    ram = _counts(told.ram)
    counts = [(name, ram.get(name, "-"), disk.get(name, "-")) for name in {**ram, **disk}]
    desk.front.show_table(("COUNT", "RAM", "DISK"), counts)
    desk.front.show(f"{told.n_pending} entries ({size_of(told.pending_bytes)}) wait for the disk")


def _counts(told: RamStatistics | DiskStatistics) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in fields(type(told)):
        value: object = getattr(told, one.name)
        if isinstance(value, int):
            found[one.name.removeprefix("n_")] = size_of(value) if one.name.endswith("_bytes") else str(value)
    return found


async def _pressure(desk: Desk, _rest: str) -> None:
    rows: list[Sequence[str]] = []
    for report in await trio.to_thread.run_sync(_read):
        for one in report.readings:
            share = "-" if one.used_share is None else f"{one.used_share:.1%}"
            stall = "-" if one.stall_share is None else f"{one.stall_share:.1%}"
            sizes = [
                "-" if n_bytes is None else size_of(n_bytes) for n_bytes in (one.used_bytes, one.limit_bytes)
            ]
            rows.append((one.domain.name, one.source, *sizes, share, stall))
        if report.why_not:
            rows.append(("-", report.source, "-", "-", "-", report.why_not))
    desk.front.show_table(("MEMORY", "SEEN BY", "USED", "LIMIT", "FULL", "STALLED"), rows)
    await _ladders(desk)


async def _ladders(desk: Desk) -> None:
    """Show what the pressure actor makes of it, if there is one."""
    ref = desk.runtime.system.whereis(_PRESSURE)
    if ref is None:
        desk.front.show(
            "nobody asks memory back: pressure.sample_interval_s is 0, or its actor is restarting"
        )
        return
    for view in await ref.call(ShowPressure()):
        for line in pressure_lines(view):
            desk.front.show(line)


def _read() -> Sequence[SourceReport]:
    sources = default_sources()
    try:
        return read_all(sources)
    finally:
        for source in sources:
            source.close()


MEMORY_COMMANDS: Final = (
    Command(
        name="cache",
        usage="[KEY]",
        group="Look inside",
        summary="show what is saved in RAM and on disk, or one saved turn",
        completes="keys",
        run=_cache,
    ),
    Command(
        name="pressure",
        group="Look inside",
        summary="show how full each memory is, and what is given back where it is short",
        run=_pressure,
    ),
)
