"""The end of a runtime, told to those who hear of it late."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import trio

from actorllama.telemetry import Bus

__all__ = ["flushed"]

_TIMEOUT_S = 2.0


@asynccontextmanager
async def flushed(bus: Bus | None) -> AsyncGenerator[None, None]:
    """Let late handlers hear what was told in the block before the process can end, cancelled or not."""
    try:
        yield
    finally:
        if bus is not None and not bus.flush(timeout_s=0.0):
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(partial(bus.flush, timeout_s=_TIMEOUT_S))
