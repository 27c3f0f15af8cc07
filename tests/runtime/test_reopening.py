"""A context that is put aside or brought back, where that fails half way: nobody loses a conversation."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from actorllama import Config, Model, Runtime, TurnResult
from actorllama.engine import WaitReady
from actorllama.engine.cache_messages import CountCells
from actorllama.engine.memory_messages import Park
from actorllama.errors import ModelNotLoaded, ModelUnavailable, StateError
from actorllama.kvcache import CacheOptions
from actorllama.runtime.names import CACHE_NAME, model_name
from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_cutter import FakeCutter
from tests.inline_tree import open_tree

CTX = 256
N_SEQ = 4
PROMPT = "the same words again and again, " * 4
N_SIZES = 3
"""Four sequences, two, one: after that a context cannot be had."""


@asynccontextmanager
async def opened(
    backend: FakeBackend, *, bus: Bus | None = None, state_dir: Path | None = None, block_tokens: int = 16
) -> AsyncGenerator[tuple[Runtime, Model], None]:
    config = Config(cache=CacheOptions(block_tokens=block_tokens))
    async with open_tree(backend, config, bus=bus, state_dir=state_dir) as rt:
        yield rt, await load(rt)


async def load(rt: Runtime) -> Model:
    return await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX)


async def greedy(model: Model, prompt: str, *, n: int = 8, keep: bool = False) -> TurnResult:
    return await model.complete(prompt, max_tokens=n, temperature=0.0, keep=keep)


async def park(rt: Runtime) -> None:
    """Put the context aside, as is done where memory is short."""
    actor = rt.system.whereis(model_name("fake"))
    assert actor is not None
    assert await actor.call(Park()) is not None
    assert (await rt.model("fake").status()).state == "parked"


async def n_saved(rt: Runtime, turn: TurnResult) -> int:
    """Count the cells of a turn that the cache has."""
    actor, cache = rt.system.whereis(model_name("fake")), rt.system.whereis(CACHE_NAME)
    assert actor is not None
    assert cache is not None
    info = await actor.call(WaitReady())
    question = CountCells(namespace=info.namespace, tokens=turn.lineage[:-1], cutter=FakeCutter())
    return int(await cache.call(question))


async def begin_two(model: Model) -> tuple[list[TurnResult], list[TurnResult]]:
    """Begin two conversations, and say how each goes on if nothing comes between."""
    begun = [await greedy(model, f"{PROMPT} {n}", keep=True) for n in range(2)]
    unbroken = [await greedy(model, f"{PROMPT} {n}", n=16) for n in range(2)]
    return begun, unbroken


async def go_on(model: Model, first: TurnResult) -> TurnResult:
    assert first.resume_key is not None
    return await model.resume(first.resume_key, max_tokens=8)


async def assert_unharmed(model: Model, begun: list[TurnResult], unbroken: list[TurnResult]) -> None:
    for first, whole in zip(begun, unbroken, strict=True):
        rest = await go_on(model, first)
        assert first.tokens + rest.tokens == whole.tokens
        assert rest.exactness == "exact"
        assert rest.usage.n_cached == rest.usage.n_prompt - 1


@pytest.mark.parametrize("n_refused", [1, 2])
async def test_a_context_that_is_refused_is_tried_smaller(backend: FakeBackend, n_refused: int) -> None:
    async with opened(backend) as (rt, model):
        begun, unbroken = await begin_two(model)
        await park(rt)
        for nth in range(1, n_refused + 1):
            backend.faults.fail_open("no memory", nth=nth)
        await assert_unharmed(model, begun, unbroken)
        assert (await model.status()).n_seq == N_SEQ >> n_refused
        assert model.gauges.n_starts == 1


@pytest.mark.parametrize("n_waiting", [1, 3])
async def test_where_no_context_can_be_had_each_turn_is_told_why_and_the_next_goes_on(
    backend: FakeBackend, n_waiting: int
) -> None:
    told: list[ModelUnavailable] = []

    async def try_to_go_on(model: Model, first: TurnResult) -> None:
        with pytest.raises(ModelUnavailable) as failed:
            await go_on(model, first)
        told.append(failed.value)

    async with opened(backend) as (rt, model):
        begun, unbroken = await begin_two(model)
        await park(rt)
        for nth in range(1, N_SIZES + 1):
            backend.faults.fail_open("no memory for that", nth=nth)
        async with trio.open_nursery() as nursery:
            for n in range(n_waiting):
                nursery.start_soon(try_to_go_on, model, begun[n % 2])
        assert len(told) == n_waiting
        assert all("no memory for that" in str(error) for error in told)
        await assert_unharmed(model, begun, unbroken)
        assert (await model.status()).n_seq == N_SEQ
        assert model.gauges.n_starts == 2


async def test_a_context_that_was_opened_and_fails_its_canary_is_given_back_and_built_again(
    backend: FakeBackend,
) -> None:
    async with opened(backend) as (rt, model):
        begun, unbroken = await begin_two(model)
        await park(rt)
        backend.faults.fail_open("no memory")  # of another size nobody knows yet what it holds
        backend.faults.fail_decode(-3)
        with pytest.raises(ModelUnavailable):
            await go_on(model, begun[0])
        await assert_unharmed(model, begun, unbroken)
        assert backend.ledger.n_open("context") == 1


async def test_a_model_that_cannot_be_built_again_is_gone_and_its_conversations_are_not(
    backend: FakeBackend, tmp_path: Path
) -> None:
    async with opened(backend, state_dir=tmp_path) as (rt, model):
        begun, unbroken = await begin_two(model)
        await park(rt)
        for nth in range(1, N_SIZES + 2):
            backend.faults.fail_open("no memory", nth=nth)
        with pytest.raises(ModelUnavailable):
            await go_on(model, begun[0])
        with pytest.raises((ModelNotLoaded, ModelUnavailable)):
            await go_on(model, begun[0])
        assert backend.ledger.n_open("model") == 0
        again = await load(rt)
        await assert_unharmed(again, begun, unbroken)


@pytest.mark.parametrize("error", [MemoryError(), StateError(operation="get_state", reason="half way")])
async def test_a_sequence_that_cannot_be_saved_costs_time_and_nothing_else(
    backend: FakeBackend,
    bus: Bus,
    heard: MemoryHandler,
    error: Exception,
) -> None:
    """One of two: the other is saved, and the memory is given back as it was asked for."""
    async with opened(backend, bus=bus, block_tokens=256) as (rt, model):
        firsts = [await greedy(model, f"{n} {PROMPT}") for n in range(2)]
        backend.faults.fail_capture(error)
        await park(rt)
        assert backend.ledger.n_open("context") == 0
        assert sorted([await n_saved(rt, turn) for turn in firsts]) == [0, len(firsts[0].lineage) - 1]
        again = [await greedy(model, f"{n} {PROMPT}") for n in range(2)]
        assert [turn.tokens for turn in again] == [turn.tokens for turn in firsts]
        assert model.gauges.n_starts == 1
    (parked,) = heard.of(("engine", "context", "parked"))
    assert parked.measurements["kept_bytes"] > 0
    (dropped,) = heard.of(("engine", "cells", "dropped"))
    assert dropped.metadata["reason"] == (str(error) or "no memory")
