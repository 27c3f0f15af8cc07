"""A whole tree without threads: its host steps in a task, jobs run where they are given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from actorllama import Config, Runtime, open_runtime
from actorllama.native.memory import MemorySource
from actorllama.telemetry import Bus
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.inline_host import InlineHost, run_inline

__all__ = ["open_tree"]


@asynccontextmanager
async def open_tree(
    backend: FakeBackend,
    config: Config | None = None,
    *,
    bus: Bus | None = None,
    state_dir: Path | None = None,
    memory_sources: Sequence[MemorySource] = (),
) -> AsyncGenerator[Runtime, None]:
    """Open a runtime whose host steps in a task, and insist that it gives everything back."""
    async with (
        trio.open_nursery() as nursery,
        open_runtime(
            config,
            backend=backend,
            bus=bus,
            state_dir=state_dir,
            make_host=lambda: InlineHost(nursery),
            runner=run_inline,
            memory_sources=memory_sources,
        ) as rt,
    ):
        yield rt
    backend.ledger.check()
