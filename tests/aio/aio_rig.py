"""One model on the fake backend behind the asyncio face, and waiting without trio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from actorllama import Config
from actorllama.aio import AsyncModel, AsyncRuntime, open_runtime
from actorllama.engine import EngineOptions
from actorllama.testing.fake_backend import FakeBackend

T = TypeVar("T")
CTX = 128


@asynccontextmanager
async def open_model(
    backend: FakeBackend,
    *,
    mode: Literal["thread", "guest"] = "thread",
    n_seq: int = 2,
    engine: EngineOptions | None = None,
) -> AsyncGenerator[tuple[AsyncRuntime, AsyncModel], None]:
    """Open a runtime with one model."""
    config = Config(engine=engine or EngineOptions())
    async with open_runtime(config, mode=mode, backend=backend) as rt:
        yield rt, await rt.load("fake", "x.gguf", n_seq=n_seq, ctx_per_seq=CTX)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run on a new loop in debug mode, and insist that no task is left at the end."""

    async def checked() -> T:
        async with asyncio.timeout(120):
            value = await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return value

    return asyncio.run(checked(), debug=True)


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - other threads change it, and tell nobody
            await asyncio.sleep(0)


async def wait_until_idle(model: AsyncModel) -> None:
    """Wait until every sequence is free again."""
    async with asyncio.timeout(60):
        while (status := await model.status()).n_free_slots < status.n_seq or status.n_queued:
            pass
