"""One model on the fake backend, and what its greedy turns must bring."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypedDict, Unpack

import trio

from actorllama import Config, Model, Runtime, TurnResult, open_runtime
from actorllama.engine import EngineOptions
from actorllama.native import SamplingParams
from actorllama.telemetry import Bus
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_oracle import ExpectedTurn, expected_turn

N_SEQ = 2
CTX = 128


class EngineNumbers(TypedDict, total=False):
    """The engine's options that tests here set."""

    queue_capacity: int
    stream_window: int
    n_mixed: int
    n_reuse: int
    max_restarts: int


@asynccontextmanager
async def open_model(
    backend: FakeBackend, *, n_seq: int = N_SEQ, bus: Bus | None = None, **engine: Unpack[EngineNumbers]
) -> AsyncGenerator[tuple[Runtime, Model], None]:
    """Open a runtime with one model."""
    config = Config(engine=EngineOptions(**engine))
    async with open_runtime(config, backend=backend, bus=bus) as rt:
        yield rt, await rt.load("fake", "x.gguf", n_seq=n_seq, ctx_per_seq=CTX)


def expected(
    backend: FakeBackend, prompt: str, *, max_tokens: int, stop: tuple[str, ...] = ()
) -> ExpectedTurn:
    """Compute what a greedy turn brings."""
    tokens = backend.language.tokenize(prompt, add_special=True, parse_special=False)
    return expected_turn(
        backend.language,
        tokens,
        SamplingParams(temperature=0.0),
        max_tokens=max_tokens,
        stop=stop,
        ctx_per_seq=CTX,
    )


async def greedy(model: Model, prompt: str, *, max_tokens: int = 12) -> TurnResult:
    with trio.fail_after(60):
        return await model.complete(prompt, max_tokens=max_tokens, temperature=0.0)


async def wait_until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.lowlevel.checkpoint()


async def wait_until_idle(model: Model) -> None:
    """Wait until every sequence is free again."""
    with trio.fail_after(60):
        while (status := await model.status()).n_free_slots < status.n_seq or status.n_queued:
            await trio.lowlevel.checkpoint()
