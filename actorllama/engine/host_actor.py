"""The actor that owns the engine's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from attrs import frozen

from actorllama.actors import (
    Call,
    Caller,
    Context,
    ExitReason,
    InitOutcome,
    NoReply,
    Outcome,
    Ready,
    Reply,
    Server,
)
from actorllama.engine.host import EngineHost

__all__ = ["GetHost", "HostActor", "HostCall"]

_CLOSE_TIMEOUT_S = 30.0


@frozen(kw_only=True)
class GetHost(Call[EngineHost]):
    """Ask for the host; its methods may be called from any thread."""


HostCall = GetHost


class HostActor(Server[HostCall, None, None]):
    """Start the one host thread, hand it out, and end it last, after every model is gone.

    It stands before the models in the tree: should it die, ``rest_for_one`` rebuilds them with it.
    """

    def __init__(self, make_host: Callable[[], EngineHost] = EngineHost) -> None:
        """Own what ``make_host`` makes; tests without threads make one that steps in a task."""
        self._make_host = make_host

    async def init(self, ctx: Context) -> InitOutcome:
        """Start the thread."""
        self._context = ctx
        self._host = self._make_host()
        self._host.start()
        self._owned = ctx.own(self._host, _close)  # also when this actor is killed and terminate does not run
        return Ready()

    async def handle_call(self, message: HostCall, caller: Caller) -> Outcome:
        """Hand the host out."""
        match message:
            case GetHost():
                return Reply(self._host)
        assert_never(message)

    async def handle_info(self, message: None) -> Outcome:
        """Nobody sends any."""
        return NoReply()

    async def terminate(self, reason: ExitReason) -> None:
        """End the thread after the step it is in."""
        await self._context.run_native(_close, self._owned)


def _close(host: EngineHost) -> None:
    host.close(timeout_s=_CLOSE_TIMEOUT_S)
