"""One contestant in one load: its process, what it was asked, and what came."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

import trio
from attrs import evolve

from actorllama.bench.peers.contestant import Ask, Contestant, Setup, Taken
from actorllama.bench.peers.memory import LibraryUse, MemoryUse, cpu_s_of, library_of
from actorllama.bench.peers.roster import Entry
from actorllama.errors import EngineError

__all__ = ["Round", "Side", "sides_of"]

_TURN_TIMEOUT_S: Final = 600.0

Round = tuple[tuple[Taken, ...], float]
"""The turns of a round, and the seconds from the first question to the last token."""


class Side:
    """A contestant that is measured; once it has failed it is asked nothing more.

    Owner: the load.
    """

    def __init__(self, entry: Entry, setup: Setup) -> None:
        """Take note of who it is; ``setup.root`` is made its own."""
        self.name = entry.name
        self.about = entry.about
        self.setup = evolve(setup, root=setup.root / entry.name)
        self.contestant: Contestant = entry.make(self.setup)
        self.error: str | None = None
        self.start_s: float | None = None
        self.stop_s: float | None = None
        self.rounds: list[Round] = []
        self.cpu_s = 0.0
        self.memory: MemoryUse | None = None
        self.library: LibraryUse | None = None
        self.disk_bytes: int | None = None
        self.n_checked = 0
        self.n_equal = 0
        self.cold_first_token_s: list[float] = []
        """Of prompts that nobody has seen, in the load of a restart."""

    @property
    def is_in(self) -> bool:
        """Whether it still takes part."""
        return self.error is None

    async def attempt(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something with the contestant; what fails is noted, and ends its part."""
        if not self.is_in:
            return
        try:
            await work()
        except (EngineError, OSError) as exc:
            self.error = " ".join(str(exc).split())
            self.contestant.kill()

    async def start(self) -> None:
        """Start its process, and note how long that took."""
        self.setup.root.mkdir(parents=True, exist_ok=True)

        async def work() -> None:
            began_s = perf_counter()
            await self.contestant.start()
            self.start_s = perf_counter() - began_s
            self.library = library_of(self.contestant.pid)

        await self.attempt(work)

    async def stop(self) -> None:
        """End its process, and count what it leaves on disk."""
        began_s = perf_counter()
        await self.contestant.stop()
        self.stop_s = perf_counter() - began_s
        self.disk_bytes = _bytes_below(self.setup.saved)

    async def take_round(self, lanes: Sequence[Sequence[Ask]], *, is_counted: bool) -> tuple[Taken, ...]:
        """Have turns taken in lanes: those of a lane one after the other, the lanes side by side.

        Returns:
            The turns in the order in which they were asked for, lane by lane; none if it has failed.
        """
        found: list[list[Taken]] = [[] for _ in lanes]

        async def in_lane(place: int, lane: Sequence[Ask]) -> None:
            for ask in lane:
                found[place].append(await self.take(ask))

        async def work() -> None:
            began_s = cpu_s_of(self.contestant.pid)
            try:
                async with trio.open_nursery() as nursery:
                    for place, lane in enumerate(lanes):
                        nursery.start_soon(in_lane, place, lane)
            except* EngineError as group:
                raise _first_of(group) from group
            if is_counted:
                self.cpu_s += cpu_s_of(self.contestant.pid) - began_s

        await self.attempt(work)
        if not self.is_in:
            return ()
        takens = tuple(taken for lane in found for taken in lane)
        if is_counted:
            first_s = min(taken.asked_s for taken in takens)
            self.rounds.append((takens, max(taken.ended_s for taken in takens) - first_s))
        return takens

    async def take(self, ask: Ask) -> Taken:
        """Take a turn.

        Raises:
            EngineError: It failed, or did not end within ten minutes.
        """
        with trio.move_on_after(_TURN_TIMEOUT_S):
            taken = await self.contestant.take(ask)
            if not taken.arrivals:
                raise EngineError("a turn brought no text. See the log of the process.")
            return taken
        raise EngineError(f"a turn did not end within {_TURN_TIMEOUT_S:.0f} s.")

    async def look(self) -> None:
        """Read what its process takes now."""

        async def work() -> None:
            self.memory = await self.contestant.memory()

        await self.attempt(work)

    def check(self, replies: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]) -> None:
        """Compare replies with those of the unbroken run."""
        self.n_checked += len(expected)
        self.n_equal += sum(one == other for one, other in zip(replies, expected, strict=True))


@asynccontextmanager
async def sides_of(entries: Sequence[Entry], setup: Setup) -> AsyncGenerator[tuple[Side, ...], None]:
    """Start everyone, one after the other; end all of them, by force if something went wrong."""
    sides = tuple(Side(entry, setup) for entry in entries)
    try:
        for side in sides:
            await side.start()
        yield sides
        for side in sides:
            await side.stop()
    finally:
        for side in sides:
            side.contestant.kill()
        with trio.CancelScope(shield=True):
            for side in sides:
                await side.contestant.stop()  # it is dead: this only takes leave of it


def _bytes_below(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def _first_of(group: BaseExceptionGroup[EngineError]) -> EngineError:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
