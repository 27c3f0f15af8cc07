"""What watchers are told about the cache, however late it answers: on a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actorllama.actors import NoReply, Outcome, Server, open_system
from actorllama.actors.reply import Caller
from actorllama.engine import ObserveOptions, ReadCacheStatistics
from actorllama.errors import SnapshotNotFound
from actorllama.kvcache import RamStatistics, StoreStatistics
from actorllama.runtime.names import CACHE_NAME
from actorllama.runtime.observer import Observer
from actorllama.runtime.observer_door import open_door
from actorllama.runtime.observer_tail import EventTail
from actorllama.telemetry import StrictBus
from tests.runtime.test_observer import Line, watching

INTERVAL_S = 0.5
PATIENCE_S = 5.0
"""How long a first snapshot waits for the cache."""


class SlowCache(Server[ReadCacheStatistics, None, None]):
    """A cache that answers when the test says so."""

    def __init__(self) -> None:
        self.asking: list[Caller] = []

    async def handle_call(self, message: ReadCacheStatistics, caller: Caller) -> Outcome:
        self.asking.append(caller)
        return NoReply()

    def answer(self, n_entries: int) -> None:
        self.asking.pop().reply(statistics(n_entries))


def statistics(n_entries: int) -> StoreStatistics:
    ram = RamStatistics(
        n_entries=n_entries,
        n_pinned=0,
        used_bytes=0,
        limit_bytes=1,
        n_hits=0,
        n_misses=0,
        n_puts=0,
        n_refused=0,
        n_declined=0,
        n_evicted=0,
        evicted_bytes=0,
    )
    return StoreStatistics(ram=ram, disk=None, n_pending=0, pending_bytes=0, n_dropped=0)


@asynccontextmanager
async def open_observed(folder: Path) -> AsyncGenerator[SlowCache, None]:
    """Start an observer beside a cache."""
    bus, door, cache = StrictBus(), open_door(folder), SlowCache()
    options = ObserveOptions(interval_s=INTERVAL_S)
    tail = EventTail(bus=bus, n_events=0)
    async with open_system(bus=bus) as system:
        await system.start(lambda: cache, name=CACHE_NAME)
        await system.start(
            lambda: Observer(door=door, options=options, look=lambda: (), tail=tail, started_at_s=0.0)
        )
        try:
            yield cache
        finally:
            door.close()


class Reading:
    """A watcher's lines, as they come."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    async def read(self, stream: trio.SocketStream) -> None:
        rest = b""
        async for more in stream:
            *lines, rest = (rest + more).split(b"\n")
            self.lines += [cast("Line", json.loads(line)) for line in lines]

    @property
    def n_entries(self) -> list[int | None]:
        """What each snapshot says that the cache holds; ``None`` where that was not known."""
        caches = [cast("dict[str, Line] | None", line["cache"]) for line in self.lines[1:]]
        return [None if cache is None else cast("int", cache["ram"]["n_entries"]) for cache in caches]


@asynccontextmanager
async def reading(folder: Path) -> AsyncGenerator[Reading, None]:
    """Watch until the block ends; the observer notices that with its next line."""
    read = Reading()
    async with trio.open_nursery() as nursery, watching(folder / "observe.sock") as watcher:
        nursery.start_soon(read.read, watcher.stream)
        await wait_all_tasks_blocked()
        yield read
        nursery.cancel_scope.cancel()


async def let_pass(mock_clock: MockClock, seconds: float) -> None:
    mock_clock.jump(seconds)
    await wait_all_tasks_blocked()


async def test_a_first_snapshot_waits_for_the_cache(mock_clock: MockClock, tmp_path: Path) -> None:
    async with open_observed(tmp_path) as cache, reading(tmp_path) as read:
        await let_pass(mock_clock, PATIENCE_S - 0.5)
        assert [line["kind"] for line in read.lines] == ["hello"]
        cache.answer(7)
        await wait_all_tasks_blocked()
        assert read.n_entries == [7]


async def test_a_cache_that_does_not_answer_is_told_as_not_known_until_it_does(
    mock_clock: MockClock, tmp_path: Path
) -> None:
    async with open_observed(tmp_path) as cache, reading(tmp_path) as read:
        await let_pass(mock_clock, PATIENCE_S)
        assert read.n_entries == [None]
        await let_pass(mock_clock, INTERVAL_S)  # the wait was for the first one only
        assert read.n_entries == [None, None]
        cache.answer(7)
        await let_pass(mock_clock, INTERVAL_S)
        assert read.n_entries == [None, None, 7]


async def test_a_cache_that_cannot_answer_holds_nobody_up(mock_clock: MockClock, tmp_path: Path) -> None:
    async with open_observed(tmp_path) as cache, reading(tmp_path) as read:
        cache.asking.pop().reply_error(SnapshotNotFound(key="x"))
        await wait_all_tasks_blocked()
        assert read.n_entries == [None]


async def test_who_comes_right_after_another_left_is_told_what_that_one_was(
    mock_clock: MockClock, tmp_path: Path
) -> None:
    """``actorllama top`` does so: it looks who is there, leaves, and comes back to watch."""
    async with open_observed(tmp_path) as cache:
        async with reading(tmp_path):
            cache.answer(7)
            await wait_all_tasks_blocked()
        await let_pass(mock_clock, INTERVAL_S)  # now the observer notices that nobody is there
        async with reading(tmp_path) as read:
            await let_pass(mock_clock, INTERVAL_S)
            assert read.n_entries == [7]
            assert cache.asking == []  # so soon it is not asked again


async def test_what_is_old_is_not_told_to_a_newcomer(mock_clock: MockClock, tmp_path: Path) -> None:
    async with open_observed(tmp_path) as cache:
        async with reading(tmp_path):
            cache.answer(7)
            await wait_all_tasks_blocked()
        await let_pass(mock_clock, INTERVAL_S)
        await let_pass(mock_clock, 3600.0)
        async with reading(tmp_path) as read:
            assert read.n_entries == []
            cache.answer(8)
            await wait_all_tasks_blocked()
            assert read.n_entries == [8]
