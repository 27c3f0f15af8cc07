"""How the engine's thread reaches the event loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import trio

__all__ = ["poster"]

R = TypeVar("R")


def poster(token: trio.lowlevel.TrioToken, take: Callable[[R], None]) -> Callable[[R], None]:
    """Make the function that the host thread reports with.

    Args:
        token: Of the event loop.
        take: Called there with each report, in order; it must not raise.
    """

    def post(report: R) -> None:
        # Without an event loop nobody is left who could have listened.
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(take, report)

    return post
