"""How other threads, and readers, reach a model's actor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import trio

from actorllama.actors import Ref
from actorllama.engine.messages import GiveCredit
from actorllama.engine.reports import Report
from actorllama.ids import TurnId

__all__ = ["granter", "poster"]


def poster(ref: Ref, token: trio.lowlevel.TrioToken) -> Callable[[Report], None]:
    """Make the function that the host thread reports with."""

    def post(report: Report) -> None:
        # Without an event loop nobody is left who could have listened.
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(ref.info_nowait, report)

    return post


def granter(ref: Ref) -> Callable[[TurnId, int], None]:
    """Make the function with which readers give credit."""
    return lambda turn_id, n_tokens: ref.info_nowait(GiveCredit(turn_id=turn_id, n_tokens=n_tokens))
