"""Which event loop runs here."""

from __future__ import annotations

import trio

from actorllama.errors import StateError

__all__ = ["insist_on_trio"]


def insist_on_trio(operation: str) -> None:
    """Refuse an operation outside trio, and name the faces that are for there.

    Raises:
        StateError: No trio task runs this.
    """
    if not trio.lowlevel.in_trio_task():
        raise StateError(
            operation=operation,
            reason="no trio loop runs here",
            hint="Under asyncio take actorllama.aio.open_runtime, in a script open_blocking_runtime there.",
        )
