"""Taking turns with a model's actor, whichever incarnation of it is alive."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context

import trio
from attrs import evolve

from actorllama.actors import Crash, Ref, Shutdown, System, which_children
from actorllama.engine import (
    CancelTake,
    ModelInfo,
    TakeTurn,
    TurnRequest,
    TurnResult,
    TurnStream,
    WaitReady,
    WhyGone,
)
from actorllama.errors import ActorError, ActorExited, ModelNotLoaded, ModelUnavailable, TurnTimeout
from actorllama.ids import TurnId
from actorllama.native.sampling import check_number
from actorllama.runtime.events import TURN_ASKED
from actorllama.runtime.names import PRESSURE_NAME, model_name, supervisor_name
from actorllama.runtime.turn import Turn

__all__ = ["TurnTaker"]

_MAX_TIMEOUT_S = 1e9  # thirty years; beyond that it is infinity that is meant
_MAX_WINDOW = 1 << 20


class TurnTaker:
    """Hand requests to a model's actor, and see to it that each ends once, with a result or a typed error.

    Owner: one model handle; any task may use it.
    """

    def __init__(
        self,
        *,
        name: str,
        system: System,
        info: ModelInfo,
        next_turn_id: Callable[[], TurnId],
        cache_salt: str,
    ) -> None:
        """Take turns with the model of this name; ``info`` is what it was when it was loaded."""
        self.name = name
        self.info = info
        self.system = system
        self.next_turn_id = next_turn_id
        self.cache_salt = cache_salt
        self._told_by = system.whereis(model_name(name))

    async def take(self, request: TurnRequest, timeout_s: float | None) -> TurnResult:
        """Take a turn within so many seconds.

        Raises:
            Busy: The queue is full.
            TurnTimeout: ``timeout_s`` has passed.
            TurnCancelled: The model was unloaded meanwhile.
            ModelUnavailable: The model's actor died; the message says why.
            ModelNotLoaded: There is no such model any more.
        """
        return await self._take(self.next_turn_id(), request, None, _checked_timeout(timeout_s))

    @asynccontextmanager
    async def stream(
        self, request: TurnRequest, timeout_s: float | None, window: int | None
    ) -> AsyncGenerator[Turn, None]:
        """Take a turn and read it; errors as of ``take``, typed as they are and not in groups."""
        limit_s = _checked_timeout(timeout_s)
        turn_id, stream = self._open(window)
        turn = Turn(turn_id, stream)
        failure: Exception | None = None
        body_failure: Exception | None = None

        async def take() -> None:
            nonlocal failure
            try:
                turn.finish(await self._take(turn_id, request, stream, limit_s))
            except Exception as exc:  # noqa: BLE001 - raised below, outside the nursery's group
                failure = exc
                reading.cancel()
            finally:
                stream.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            with trio.CancelScope() as reading:
                try:
                    yield turn
                except Exception as exc:  # noqa: BLE001 - raised below, outside the nursery's group
                    body_failure = exc
            nursery.cancel_scope.cancel()
        if body_failure is not None:
            raise body_failure
        if failure is not None:
            raise failure

    async def tell(
        self,
        request: TurnRequest,
        timeout_s: float | None,
        window: int | None,
        begin: Callable[[Turn], None],
    ) -> TurnResult:
        """Take a turn whose text goes where ``begin`` diverts it; errors as of ``take``."""
        limit_s = _checked_timeout(timeout_s)
        turn_id, stream = self._open(window)
        begin(Turn(turn_id, stream))
        try:
            return await self._take(turn_id, request, stream, limit_s)
        finally:
            stream.close()

    def _open(self, window: int | None) -> tuple[TurnId, TurnStream]:
        window = self.info.stream_window if window is None else window
        check_number("window", window, low=2, high=_MAX_WINDOW, integer=True)
        return self.next_turn_id(), TurnStream(window=window)

    async def _take(
        self, turn_id: TurnId, request: TurnRequest, stream: TurnStream | None, timeout_s: float
    ) -> TurnResult:
        ref = await self.ref()
        request = evolve(request, cache_salt=self.cache_salt) if self.cache_salt else request
        message = TakeTurn(turn_id=turn_id, request=request, stream=stream)
        self._tell_asked(turn_id)
        is_over = False
        try:
            with trio.move_on_after(timeout_s):
                result = await ref.call(message, timeout_s=math.inf)
                is_over = True
                return result
            raise TurnTimeout(turn_id=turn_id, timeout_s=timeout_s)
        except ActorExited as exc:
            is_over = True
            raise ModelUnavailable(model=self.name, reason=_why(exc)) from exc
        finally:
            if not is_over and ref.is_alive:
                ref.info_nowait(CancelTake(turn_id=turn_id, reason="its caller left"))

    def _tell_asked(self, turn_id: TurnId) -> None:
        """Tell of the turn while its caller's task, or one that it started, still runs."""
        bus = self.system.bus
        if bus.is_listening(TURN_ASKED):
            about = {"model": self.name, "turn_id": turn_id, "context": copy_context()}
            bus.execute(TURN_ASKED, metadata=about)

    async def current_info(self) -> ModelInfo:
        """Return what requests are checked against; ask again if the model was rebuilt meanwhile."""
        now = self.system.whereis(model_name(self.name))
        # A vocabulary is closed some time after the death of who opened it: being open says too little.
        if now is None or now is not self._told_by or self.info.vocabulary.is_closed:
            ref = await self.ref()
            try:
                self.info = await ref.call(WaitReady(), timeout_s=math.inf)
            except ActorExited as exc:
                raise ModelUnavailable(model=self.name, reason=_why(exc)) from exc
            self._told_by = ref
        return self.info

    async def ref(self) -> Ref:
        """Find the present incarnation of the model's actor."""
        ref = self.system.whereis(model_name(self.name))
        if ref is not None:
            await trio.lowlevel.checkpoint()
            return ref
        supervisor = self.system.whereis(supervisor_name(self.name))
        if supervisor is None:
            raise ModelNotLoaded(model=self.name, loaded=(), reason=await self._why_gone())
        # Between a death and a restart nobody has the name. The supervisor answers when it has
        # dealt with the death, because that came first.
        try:
            children = await which_children(supervisor)
        except ActorExited as exc:
            raise ModelUnavailable(model=self.name, reason=_why(exc)) from exc
        if not children or children[0].ref is None:
            raise ModelUnavailable(model=self.name, reason="it is being rebuilt after a crash")
        return children[0].ref

    async def _why_gone(self) -> str:
        """Ask whether the model had to go because memory was short."""
        pressure = self.system.whereis(PRESSURE_NAME)
        await trio.lowlevel.checkpoint()
        if pressure is None:
            return ""
        try:
            reason = await pressure.call(WhyGone(model=self.name))
        except ActorError:
            return ""
        return reason or ""


def _checked_timeout(timeout_s: float | None) -> float:
    if timeout_s is None:
        return math.inf
    if timeout_s != math.inf:
        check_number("timeout_s", timeout_s, low=0.0, high=_MAX_TIMEOUT_S, above_low=True)
    return timeout_s


def _why(exc: ActorExited) -> str:
    match exc.reason:
        case Crash(cause):
            return f"its actor crashed ({cause})"
        case Shutdown(term) if isinstance(term, Exception):
            return str(term)
        case reason:
            return f"its actor ended: {reason}"
