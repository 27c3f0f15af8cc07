"""Waiting in an asyncio task for what the trio side tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorllama.aio.ending import Ending
from actorllama.errors import StateError

__all__ = ["running_loop", "wait_through", "wait_until"]


def running_loop(operation: str) -> asyncio.AbstractEventLoop:
    """Give the loop that runs here.

    Raises:
        StateError: There is none.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError as exc:
        raise StateError(
            operation=operation,
            reason="no asyncio loop runs here",
            hint="Under trio take actorllama.open_runtime, in a script actorllama.aio.open_blocking_runtime.",
        ) from exc


async def wait_until(ending: Ending, is_so: Callable[[], bool]) -> None:
    """Wait until a condition holds that changes only with what ``ending`` tells."""
    while not is_so():
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake(change: asyncio.Future[None] = change) -> None:
            if not change.done():
                change.set_result(None)

        ending.watchers.append(wake)
        try:
            await change
        finally:
            ending.watchers.remove(wake)


async def wait_through(ending: Ending) -> None:
    """Wait for an end that comes soon, whoever cancels the wait.

    Raises:
        CancelledError: The task was cancelled meanwhile; the end has come none the less.
    """
    cancelled: asyncio.CancelledError | None = None
    while not ending.is_ended:
        try:
            await wait_until(ending, lambda: ending.is_ended)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
