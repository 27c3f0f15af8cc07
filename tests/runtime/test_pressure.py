"""Memory that is given back: the whole tree on the fake backend, with pressure on demand."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from actorllama import Config, Model, Runtime, TurnResult
from actorllama.engine import PressureOptions, ShowPressure, WaitReady
from actorllama.engine.cache_messages import CountCells
from actorllama.engine.events import PRESSURE_WON
from actorllama.engine.pressure_plan import Step
from actorllama.errors import Busy, ModelNotLoaded, ModelUnavailable
from actorllama.kvcache import CacheOptions
from actorllama.native.memory import HOST, MemoryDomain
from actorllama.native.memory_devices import ComputeDevice
from actorllama.runtime.names import CACHE_NAME, PRESSURE_NAME, model_name
from actorllama.telemetry import Bus, Event, Measurements, MemoryHandler, Metadata
from actorllama.testing.fake_backend import WEIGHTS_BYTES, FakeBackend
from actorllama.testing.fake_context import CELL_BYTES
from actorllama.testing.fake_cutter import FakeCutter
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.manual_pressure import ManualPressure
from tests.inline_tree import open_tree

CTX = 256
N_SEQ = 4
KV_BYTES = CELL_BYTES * CTX * N_SEQ
LIMIT = 500_000
LOW = int(LIMIT * 0.85)
HIGH = int(LIMIT * 0.92)
PROMPT = "the same words again and again, " * 4
GPU = MemoryDomain(kind="gpu", index=0, pci="0000:01:00.0")
DEVICE = ComputeDevice(name="CUDA0", description="a GPU", kind="gpu", pci="0000:01:00.0")


class Memory(ManualPressure):
    """Memory of which everything that the ladder wins is free afterwards."""

    def __call__(self, event: Event, measured: Measurements, about: Metadata, _config: object) -> None:
        domain = HOST if about["domain"] == "host" else GPU
        self.free(domain, int(measured["won_bytes"]))

    async def fill(self, domain: MemoryDomain = HOST, *, above_low: int) -> None:
        """Use so many bytes more than the low watermark, and let the ladder be walked."""
        self.set(domain, used_bytes=LOW + above_low, limit_bytes=LIMIT)
        await trio.sleep(20)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(FakeLanguage(end_one_in=0))


@pytest.fixture
def memory(bus: Bus) -> Memory:
    source = Memory()
    source.set(used_bytes=LIMIT // 10, limit_bytes=LIMIT)
    bus.attach("memory", PRESSURE_WON, source, None)
    return source


@asynccontextmanager
async def opened(
    backend: FakeBackend,
    memory: Memory,
    bus: Bus,
    *,
    sample_interval_s: float = 1.0,
    state_dir: Path | None = None,
    block_tokens: int = 16,
) -> AsyncGenerator[tuple[Runtime, Model], None]:
    """Open a runtime with one model that looks at memory each second, on a clock that jumps."""
    config = Config(
        pressure=PressureOptions(sample_interval_s=sample_interval_s, interval_s=0.5),
        cache=CacheOptions(block_tokens=block_tokens),
    )
    async with open_tree(backend, config, bus=bus, state_dir=state_dir, memory_sources=(memory,)) as rt:
        yield rt, await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX)


async def greedy(model: Model, prompt: str = PROMPT, *, n: int = 8, keep: bool = False) -> TurnResult:
    return await model.complete(prompt, max_tokens=n, temperature=0.0, keep=keep)


async def state_of(model: Model) -> str:
    return (await model.status()).state


def steps(heard: MemoryHandler) -> list[tuple[object, object]]:
    """List who won what, in order: the rung and the bytes."""
    return [(fact.metadata["step"], fact.measurements["won_bytes"]) for fact in heard.of(PRESSURE_WON)]


async def test_who_looks_in_sees_the_rung_what_is_offered_and_what_was_won(
    backend: FakeBackend, memory: Memory, bus: Bus, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus) as (rt, model):
        await greedy(model)
        pressure = rt.system.whereis(PRESSURE_NAME)
        assert pressure is not None
        (calm,) = await pressure.call(ShowPressure())
        await memory.fill(above_low=HIGH - LOW + KV_BYTES)
        (later,) = await pressure.call(ShowPressure())

    assert (calm.domain, calm.is_pressed, calm.rung, calm.won) == (HOST, False, None, ())
    assert dict(calm.offered)[Step.UNLOAD] == dict(calm.offered)[Step.SHRINK] + WEIGHTS_BYTES
    assert dict(later.won)[Step.SHRINK] > 0
    assert sum(n_bytes for _, n_bytes in later.won) >= HIGH - LOW
    assert Step.SHRINK not in dict(later.offered)


async def test_an_idle_context_is_parked_and_its_conversation_goes_on_exactly(
    backend: FakeBackend,
    memory: Memory,
    bus: Bus,
    heard: MemoryHandler,
    autojump_clock: MockClock,
    tmp_path: Path,
) -> None:
    async with opened(backend, memory, bus, state_dir=tmp_path) as (_, model):
        first = await greedy(model, keep=True)
        unbroken = await greedy(model, keep=True, n=16)
        assert first.resume_key is not None
        await memory.fill(above_low=40_000)

        assert await state_of(model) == "parked"
        assert backend.ledger.n_open("context") == 0
        resumed = await model.resume(first.resume_key, max_tokens=8)
        assert await state_of(model) == "ready"

    assert first.tokens + resumed.tokens == unbroken.tokens
    assert resumed.exactness == "exact"
    assert resumed.usage.n_cached == resumed.usage.n_prompt - 1
    won = [won for step, won in steps(heard) if step == "shrink"]
    assert len(won) == 1
    assert isinstance(won[0], int)
    (parked,) = heard.of(("engine", "context", "parked"))
    assert won[0] == KV_BYTES - int(parked.measurements["kept_bytes"])


async def test_what_the_cache_lacks_is_saved_before_the_context_goes(
    backend: FakeBackend, memory: Memory, bus: Bus, heard: MemoryHandler, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus, block_tokens=256) as (rt, model):
        first = await greedy(model)  # shorter than a block: nobody kept anything of it
        await memory.fill(above_low=40_000)
        assert await state_of(model) == "parked"
        cells = first.lineage[:-1]
        actor, cache = rt.system.whereis(model_name("fake")), rt.system.whereis(CACHE_NAME)
        assert actor is not None
        assert cache is not None
        info = await actor.call(WaitReady())
        question = CountCells(namespace=info.namespace, tokens=cells, cutter=FakeCutter())
        assert await cache.call(question) == len(cells)
    (parked,) = heard.of(("engine", "context", "parked"))
    assert parked.measurements["kept_bytes"] > 0


async def test_a_parked_model_can_be_unloaded_and_asked_what_it_does(
    backend: FakeBackend, memory: Memory, bus: Bus, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus) as (rt, model):
        await greedy(model)
        await memory.fill(above_low=40_000)
        (status,) = await rt.models()
        assert (status.state, status.n_free_slots, status.n_live) == ("parked", N_SEQ, 0)
        await rt.unload("fake")
        assert backend.ledger.n_open("model") == 0


async def test_the_ladder_of_the_host_climbs_in_order(
    backend: FakeBackend, memory: Memory, bus: Bus, heard: MemoryHandler, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus) as (rt, model):
        await greedy(model)
        await memory.fill(above_low=400_000)

        with pytest.raises(ModelNotLoaded, match="memory of host was short"):
            await greedy(model)
        assert await rt.models() == ()
        again = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX)
        assert (await greedy(again)).tokens

    taken = [step for step, won in steps(heard) if won]
    assert taken[0] == "evict"
    assert taken.index("shrink") < taken.index("unload")
    assert (taken[-1], dict(steps(heard))["unload"]) == ("unload", WEIGHTS_BYTES)


async def test_an_active_turn_is_never_harmed(
    backend: FakeBackend, memory: Memory, bus: Bus, heard: MemoryHandler, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus) as (_, model):
        unbroken = await greedy(model, n=40)
        async with model.stream(PROMPT, max_tokens=40, temperature=0.0, window=4) as turn:
            await memory.fill(above_low=400_000)  # its reader stands still all the while
            assert await state_of(model) == "ready"
            assert heard.of(("engine", "context", "parked")) == []
            assert all(step == "evict" for step, _ in steps(heard))
            async for _ in turn:
                pass
        assert turn.result.tokens == unbroken.tokens
        await trio.sleep(5)
        with pytest.raises(ModelNotLoaded):
            await greedy(model)


async def test_memory_between_the_watermarks_moves_nobody(
    backend: FakeBackend, memory: Memory, bus: Bus, heard: MemoryHandler, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus) as (_, model):
        await greedy(model)
        for used in (HIGH - 1, LOW + 1, HIGH - 1, LOW, HIGH - 1):
            memory.set(used_bytes=used, limit_bytes=LIMIT)
            await trio.sleep(5)
        assert await state_of(model) == "ready"
    assert heard.of(("engine", "pressure")) == []


async def test_a_context_comes_back_smaller_where_there_is_no_room_and_grows_when_there_is(
    backend: FakeBackend, memory: Memory, bus: Bus, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus) as (_, model):
        expected = await greedy(model)
        await memory.fill(above_low=40_000)
        memory.set(used_bytes=HIGH - KV_BYTES // 2, limit_bytes=LIMIT)
        await trio.sleep(2)
        small = await greedy(model)
        assert (await model.status()).n_seq == 2
        await memory.fill(above_low=40_000)
        memory.set(used_bytes=0, limit_bytes=LIMIT)
        await trio.sleep(2)
        whole = await greedy(model)
        assert (await model.status()).n_seq == N_SEQ
    assert expected.tokens == small.tokens == whole.tokens


async def test_a_model_that_came_back_under_pressure_grows_when_it_is_over(
    backend: FakeBackend, memory: Memory, bus: Bus, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus) as (_, model):
        await greedy(model)
        await memory.fill(above_low=40_000)
        bus.detach("memory")
        memory.set(used_bytes=LIMIT, limit_bytes=LIMIT)
        async with model.stream(PROMPT, max_tokens=8, temperature=0.0, window=2) as turn:
            await trio.sleep(3)
            assert (await model.status()).n_seq == 1
            memory.set(used_bytes=0, limit_bytes=LIMIT)
            await trio.sleep(3)
            async for _ in turn:
                pass
        await trio.sleep(1)
        assert await state_of(model) == "parked"
        await greedy(model)
        assert (await model.status()).n_seq == N_SEQ


async def test_turns_that_come_while_a_context_is_put_aside_or_brought_back_wait_and_are_taken(
    backend: FakeBackend, memory: Memory, bus: Bus, autojump_clock: MockClock
) -> None:
    results: list[TurnResult] = []

    async def take(model: Model, number: int) -> None:
        await trio.sleep(number * 0.25)
        results.append(await greedy(model, f"{PROMPT} {number}"))

    async with opened(backend, memory, bus) as (_, model), trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(take, model, number)
        for _ in range(4):
            memory.set(used_bytes=LOW + 40_000, limit_bytes=LIMIT)
            await trio.sleep(2.5)
    assert len(results) == 40


async def test_a_gpu_has_a_ladder_of_its_own(
    backend: FakeBackend, memory: Memory, bus: Bus, heard: MemoryHandler, autojump_clock: MockClock
) -> None:
    backend.gpus = (DEVICE,)
    memory.set(GPU, used_bytes=LIMIT // 10, limit_bytes=LIMIT)
    async with opened(backend, memory, bus) as (_, model):
        first = await greedy(model, keep=True)
        assert first.resume_key is not None
        await memory.fill(GPU, above_low=40_000)
        assert await state_of(model) == "parked"
        resumed = await model.resume(first.resume_key, max_tokens=8)
        assert resumed.usage.n_cached == resumed.usage.n_prompt - 1
    asked = [(f.metadata["domain"], f.metadata["step"]) for f in heard.of(("engine", "pressure", "asked"))]
    assert asked == [("gpu0", "stop_admitting"), ("gpu0", "shrink")]
    assert steps(heard) == [("shrink", KV_BYTES)]


async def test_a_model_on_a_short_gpu_takes_no_new_turns_until_it_is_over_not_even_after_a_restart(
    backend: FakeBackend, memory: Memory, bus: Bus, autojump_clock: MockClock
) -> None:
    backend.gpus = (DEVICE,)
    memory.set(GPU, used_bytes=LIMIT // 10, limit_bytes=LIMIT)
    bus.detach("memory")
    async with opened(backend, memory, bus) as (_, model):
        async with model.stream(PROMPT, max_tokens=30, temperature=0.0, window=4) as turn:
            await memory.fill(GPU, above_low=400_000)
            with pytest.raises(Busy, match="memory of gpu0 is short"):
                await greedy(model)
            async for _ in turn:
                pass
        assert len(turn.result.tokens) == 30


async def test_a_model_that_is_restarted_while_it_is_closed_stays_closed(
    backend: FakeBackend, memory: Memory, bus: Bus, autojump_clock: MockClock
) -> None:
    backend.gpus = (DEVICE,)
    memory.set(GPU, used_bytes=LIMIT // 10, limit_bytes=LIMIT)
    async with opened(backend, memory, bus) as (rt, model):
        before = rt.system.whereis(model_name("fake"))
        with pytest.raises(ModelUnavailable):
            await crash_while_closed(backend, memory, model)
        await trio.sleep(0.9)  # it is loaded again by then, and nobody has looked since
        memory.free(GPU, -WEIGHTS_BYTES)  # above the high watermark still: nothing was won
        await trio.sleep(1.0)
        after = rt.system.whereis(model_name("fake"))
        assert after is not None
        assert after is not before
        with pytest.raises(Busy, match="memory of gpu0 is short"):
            await greedy(model)


async def crash_while_closed(backend: FakeBackend, memory: Memory, model: Model) -> None:
    async with model.stream(PROMPT, max_tokens=30, temperature=0.0, window=4) as turn:
        await memory.fill(GPU, above_low=400_000)
        backend.faults.fail_decode(2, nth=1)
        async for _ in turn:
            pass


async def test_without_an_interval_nobody_looks(
    backend: FakeBackend, memory: Memory, bus: Bus, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus, sample_interval_s=0.0) as (_, model):
        await memory.fill(above_low=400_000)
        assert await state_of(model) == "ready"
    assert memory.n_reads == 0


async def test_a_source_that_fails_is_told_once(
    backend: FakeBackend, memory: Memory, bus: Bus, heard: MemoryHandler, autojump_clock: MockClock
) -> None:
    async with opened(backend, memory, bus) as (_, model):
        await greedy(model)
        memory.fail("it fell off")
        await trio.sleep(10)
        memory.set(used_bytes=1, limit_bytes=LIMIT)
        await trio.sleep(10)
    changed = heard.of(("engine", "memory_source", "changed"))
    assert [fact.metadata["why_not"] for fact in changed] == ["it fell off", ""]
