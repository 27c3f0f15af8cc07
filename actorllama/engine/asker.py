"""The actor that asks one owner for memory and waits for the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio
from attrs import frozen

from actorllama.actors import Context, Down, InitOutcome, NoReply, Normal, Outcome, Ready, Ref, Server, Stop
from actorllama.engine.cache_messages import GiveBack
from actorllama.engine.memory_messages import DropScratch, LeaveMemory, Park
from actorllama.engine.pressure_offers import CACHE_OWNER, won_by_parking
from actorllama.engine.pressure_plan import Ask, Step
from actorllama.engine.pressure_plan import Outcome as Answer
from actorllama.errors import ActorError
from actorllama.native.memory import MemoryDomain

__all__ = ["Asked", "Asker"]


@frozen(kw_only=True)
class Asked:
    """An ask has its answer."""

    answer: Answer
    duration_s: float
    error: str = ""


class Asker(Server[None, None, Down]):
    """Ask, wait, report the bytes won, end. An owner that dies meanwhile, or does not answer, gave nothing.

    Owner: the pressure actor, which starts one for each ask and goes on.
    """

    def __init__(
        self,
        ask: Ask,
        owner: Ref | None,
        *,
        devices: Mapping[str, MemoryDomain],
        timeout_s: float,
        report: Callable[[Asked], None],
    ) -> None:
        """Put ``ask`` to ``owner`` and hand what comes of it to ``report``."""
        self._ask = ask
        self._owner = owner
        self._devices = devices
        self._timeout_s = timeout_s
        self._report = report

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the one who starts it has gone on."""
        self._ctx = ctx
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Ask."""
        self._began_s = trio.current_time()
        owner = self._owner
        if owner is None:
            return self._done(0, "there is none of that name")
        try:
            won_bytes = await self._put(owner)
        except ActorError as exc:
            return self._done(0, str(exc))
        # Who unloads a model waits for its end: its memory is free then, and not before.
        return NoReply() if won_bytes is None else self._done(won_bytes)

    async def handle_info(self, message: Down) -> Outcome:
        """Hear of the end of a model that was asked to leave."""
        return self._done(self._ask.n_bytes)

    async def _put(self, owner: Ref) -> int | None:
        ask, timeout_s = self._ask, self._timeout_s
        match ask.step:
            case Step.DEMOTE:
                return await owner.call(GiveBack(how="demote", n_bytes=ask.n_bytes), timeout_s=timeout_s)
            case Step.DROP_SCRATCH if ask.owner != CACHE_OWNER:
                return await owner.call(DropScratch(n_bytes=ask.n_bytes), timeout_s=timeout_s)
            case Step.DROP_SCRATCH:
                return await owner.call(GiveBack(how="scratch", n_bytes=ask.n_bytes), timeout_s=timeout_s)
            case Step.EVICT:
                return await owner.call(GiveBack(how="evict", n_bytes=ask.n_bytes), timeout_s=timeout_s)
            case Step.SHRINK:
                parked = await owner.call(Park(), timeout_s=timeout_s)
                return 0 if parked is None else won_by_parking(parked, ask.domain, self._devices)
            case Step.UNLOAD:
                is_leaving = await owner.call(LeaveMemory(reason="memory pressure"), timeout_s=timeout_s)
                if not is_leaving:
                    return 0
                self._ctx.monitor(owner)
                return None
            case Step.STOP_ADMITTING:
                raise AssertionError(f"nobody is asked for {ask.step.name}")

    def _done(self, won_bytes: int, error: str = "") -> Outcome:
        duration_s = trio.current_time() - self._began_s
        answer = Answer(ask=self._ask, won_bytes=won_bytes)
        self._report(Asked(answer=answer, duration_s=duration_s, error=error))
        return Stop(Normal())
