"""Pages that a model keeps for the next copy of a sequence go back when nothing comes, and under pressure."""

from __future__ import annotations

import ctypes
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from actorllama import Config, Model, Runtime
from actorllama.actors import Ref
from actorllama.engine import PressureOptions
from actorllama.engine.events import PRESSURE_WON
from actorllama.engine.idle_clock import IDLE_S
from actorllama.engine.memory_messages import DropScratch, OfferHeld
from actorllama.kvcache import CacheOptions
from actorllama.runtime.names import model_name
from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.manual_pressure import ManualPressure
from tests.inline_tree import open_tree

CTX = 1 << 15
PROMPT = "x" * (CTX - 64)
STATE_BYTES = 16 * len(PROMPT)  # as the fake writes them
GIB = 1 << 30
_PIECE_BYTES = 64 << 10  # less than glibc maps one by one


@asynccontextmanager
async def opened(
    memory: ManualPressure, bus: Bus | None = None
) -> AsyncGenerator[tuple[Runtime, Model, Ref], None]:
    """Open a runtime with a model whose states are large enough for pages of their own, and no RAM tier."""
    backend = FakeBackend(FakeLanguage(end_one_in=0))
    config = Config(
        pressure=PressureOptions(high_share=0.9, low_share=0.5, interval_s=0.5, fits_check="off"),
        cache=CacheOptions(ram_limit_bytes=0),
    )
    memory.set(used_bytes=0, limit_bytes=GIB)
    async with open_tree(backend, config, bus=bus, memory_sources=(memory,)) as rt:
        model = await rt.load("fake", "x.gguf", n_seq=2, ctx_per_seq=CTX, n_batch=1 << 14)
        actor = rt.system.whereis(model_name("fake"))
        assert actor is not None
        yield rt, model, actor


async def scratch_bytes(actor: Ref) -> int:
    held = await actor.call(OfferHeld())
    assert held is not None
    return held.scratch_bytes


async def take(model: Model, actor: Ref) -> int:
    """Take a turn that is kept, wait until its copy is gone, and return the bytes of the pages it leaves."""
    await model.complete(PROMPT, max_tokens=4, keep=True)
    while not (n_bytes := await scratch_bytes(actor)):
        await trio.lowlevel.checkpoint()  # without a sleep: the clock must not jump meanwhile
    assert n_bytes >= STATE_BYTES
    return n_bytes


async def test_a_pause_gives_the_pages_back(autojump_clock: MockClock) -> None:
    async with opened(ManualPressure()) as (_rt, model, actor):
        assert await scratch_bytes(actor) == 0
        n_bytes = await take(model, actor)
        await trio.sleep(IDLE_S - 0.5)
        await model.complete("y", max_tokens=4)
        await trio.sleep(IDLE_S - 0.5)
        assert await scratch_bytes(actor) == n_bytes
        await trio.sleep(1.0)
        assert await scratch_bytes(actor) == 0


def own_bytes() -> int:
    """Count the pages of this process that are of no file."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))


@contextmanager
def heap_with_a_hole(n_bytes: int) -> Generator[None]:
    """Allocate so much in pieces, and free all of them but the last, so that the heap stays as large."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    pieces = [libc.malloc(_PIECE_BYTES) for _ in range(n_bytes // _PIECE_BYTES)]
    for piece in pieces:
        ctypes.memset(piece, 1, _PIECE_BYTES)
    for piece in pieces[:-1]:
        libc.free(piece)
    try:
        yield
    finally:
        libc.free(pieces[-1])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc's heap")
async def test_a_pause_gives_back_what_is_free_in_the_heap(autojump_clock: MockClock) -> None:
    n_bytes = 64 << 20
    async with opened(ManualPressure()) as (_rt, model, _actor):
        with heap_with_a_hole(n_bytes):
            await model.complete("x", max_tokens=4)
            before_bytes = own_bytes()
            await trio.sleep(IDLE_S + 1.0)
            assert before_bytes - own_bytes() > n_bytes // 2


async def test_who_asks_for_pages_gets_them_and_is_told_how_many(autojump_clock: MockClock) -> None:
    async with opened(ManualPressure()) as (_rt, model, actor):
        assert await actor.call(DropScratch(n_bytes=GIB)) == 0
        offered = await take(model, actor)
        assert await actor.call(DropScratch(n_bytes=1 << 16)) == 1 << 16
        assert await scratch_bytes(actor) == offered - (1 << 16)
        assert await actor.call(DropScratch(n_bytes=GIB)) == offered - (1 << 16)
        assert await scratch_bytes(actor) == 0


async def test_a_turn_that_runs_keeps_the_timer_quiet_and_loses_nothing(autojump_clock: MockClock) -> None:
    async with opened(ManualPressure()) as (_rt, model, actor):
        n_bytes = await take(model, actor)
        async with model.stream("z", max_tokens=40, window=2) as turn:
            await trio.sleep(2 * IDLE_S)
            assert await scratch_bytes(actor) == n_bytes
            assert await actor.call(DropScratch(n_bytes=GIB)) == n_bytes
            async for _ in turn:
                pass
        assert len(turn.result.tokens) == 40


async def test_under_pressure_they_go_before_any_context_and_what_was_won_is_what_was_offered(
    autojump_clock: MockClock,
) -> None:
    bus, heard, memory = Bus(), MemoryHandler(), ManualPressure()
    bus.attach("test", PRESSURE_WON, heard, None)
    async with opened(memory, bus) as (_rt, model, actor):
        offered = await take(model, actor)
        memory.set(used_bytes=GIB, limit_bytes=GIB)
        await trio.sleep(1.5)  # one look, and one step of the ladder
        memory.set(used_bytes=0, limit_bytes=GIB)
        await trio.sleep(20)
        first = heard.of(PRESSURE_WON)[0]
        assert (first.metadata["step"], first.metadata["owner"]) == ("drop_scratch", "fake")
        assert first.measurements["won_bytes"] == first.measurements["asked_bytes"] == offered
