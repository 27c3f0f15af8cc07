"""Contestants that are libraries: a process that drives one and is told what to do line by line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Final, cast

import trio

from actorllama.bench.peers.contestant import Ask, Setup, Taken
from actorllama.bench.peers.memory import MemoryUse, memory_of
from actorllama.bench.peers.process_peer import ProcessPeer
from actorllama.errors import EngineError

__all__ = ["LinePeer"]

_START_TIMEOUT_S: Final = 180.0


class LinePeer(ProcessPeer):
    """A process that reads orders and writes answers, one JSON object in a line.

    It takes the times itself, as a program that embeds the library would see them; they begin when the order
    is given. Nothing is told while a turn runs, so that the pipe costs nothing.

    Owner: the scenario. One task reads the answers; those who wait for one are woken by number.
    """

    def __init__(self, setup: Setup, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Take note of how it is to be started."""
        super().__init__(setup)
        self._command = list(command)
        self._environment = dict(environment)
        self._n_orders = 0
        self._answers: dict[int, dict[str, object]] = {}
        self._news = trio.Event()
        self._rest = b""
        self._reading = trio.Lock()
        self._writing = trio.Lock()

    async def start(self) -> None:
        """Start it and wait until its model is loaded."""
        self._answers.clear()
        self._rest = b""
        self._begin(self._command, environment=self._environment, has_pipes=True)
        with trio.move_on_after(_START_TIMEOUT_S):
            await self._answer(0)
            return
        raise EngineError(f"the process did not begin within {_START_TIMEOUT_S:.0f} s.")

    async def take(self, ask: Ask) -> Taken:
        """Order a turn and wait for its account."""
        asked_s = perf_counter()
        told = await self._order(op="turn", prompt=ask.prompt, n_reply=ask.n_reply, after=ask.after)
        arrivals = cast("list[tuple[float, int]]", told["arrivals"])
        return Taken(
            asked_s=asked_s,
            arrivals=tuple((time_s, n) for time_s, n in arrivals),
            reply=tuple(cast("list[int]", told["reply"])),
            n_prompt=len(ask.prompt),
            n_computed=cast("int | None", told["n_computed"]),
            key=cast("str | None", told.get("key")),
        )

    async def memory(self) -> MemoryUse:
        """Read what the process takes, its cache told apart."""
        told = await self._order(op="cache")
        return memory_of(self.pid, cache_bytes=cast("int", told["n_bytes"]))

    # -- lines ---------------------------------------------------------------------------------

    async def _order(self, **order: object) -> dict[str, object]:
        assert self._process.pipes is not None, "started with pipes"
        self._n_orders += 1
        number = self._n_orders
        line = json.dumps({"number": number, **order}).encode() + b"\n"
        try:
            async with self._writing:
                await self._process.pipes[0].send_all(line)
        except (OSError, trio.BrokenResourceError) as exc:
            raise EngineError(f"the process went away: {self._process.last_words()}") from exc
        told = await self._answer(number)
        if "error" in told:
            raise EngineError(f"the process says: {told['error']}")
        return told

    async def _answer(self, number: int) -> dict[str, object]:
        """Wait for an answer; whoever waits first reads for all."""
        while number not in self._answers:
            try:
                self._reading.acquire_nowait()
            except trio.WouldBlock:
                await self._news.wait()
                continue
            try:
                await self._read_some()
            finally:
                self._reading.release()
                self._news.set()
                self._news = trio.Event()
        return self._answers.pop(number)

    async def _read_some(self) -> None:
        assert self._process.pipes is not None, "started with pipes"
        some = await self._process.pipes[1].receive_some(1 << 20)
        if not some:
            raise EngineError(f"the process ended: {self._process.last_words()}")
        *lines, self._rest = (self._rest + some).split(b"\n")
        for line in lines:
            told = cast("dict[str, object]", json.loads(line))
            self._answers[cast("int", told["number"])] = told
