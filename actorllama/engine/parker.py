"""The actor that puts a model's context aside, so that the model actor need not wait."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from actorllama.actors import Context, InitOutcome, Normal, Outcome, Owned, Ready, Ref, Server, Stop
from actorllama.engine import events
from actorllama.engine.idle_cells import IdleCells
from actorllama.engine.load_job import LoadJob
from actorllama.engine.memory_messages import ContextParked, Parked
from actorllama.errors import ActorError, StateError
from actorllama.ids import SeqId

__all__ = ["Parker"]

_COUNT_TIMEOUT_S = 600.0  # behind what is being cut, which is bounded by bytes


class Parker(Server[None, None, None]):
    """Save what idle sequences hold and the cache has not, close the context, tell the model actor, end.

    One sequence at a time: no more memory is taken meanwhile than for one. A sequence that cannot be saved
    will be computed again: that is no reason to keep the memory of the others, nor to crash.
    """

    def __init__(
        self, job: Owned[LoadJob], idle: Sequence[IdleCells], *, cache: Ref | None, report_to: Ref
    ) -> None:
        """Put the context of ``job`` aside, which nobody uses any more, and report to ``report_to``."""
        self._job = job
        self._idle = idle
        self._cache = cache
        self._report_to = report_to

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the one who starts it has gone on."""
        self._ctx = ctx
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Save and close."""
        kept_bytes = 0
        try:
            for cells in self._idle:
                kept_bytes += await self._save(cells)
            freed = await self._ctx.run_native(LoadJob.park, self._job)
        except Exception as exc:  # noqa: BLE001 - carried to the model actor, which decides
            parked = Parked(freed=(), kept_bytes=kept_bytes)
            self._report_to.info_nowait(ContextParked(parked=parked, error=exc))
        else:
            self._report_to.info_nowait(ContextParked(parked=Parked(freed=freed, kept_bytes=kept_bytes)))
        return Stop(Normal())

    async def _save(self, cells: IdleCells) -> int:
        """Save one sequence, unless the cache has it; return the bytes that this took."""
        cache = self._cache
        if cache is None or not cache.is_alive:
            return 0
        # Without its cache a turn loses time, not its answer: the context is put aside all the same.
        with suppress(ActorError):
            if await cache.call(cells.count(), timeout_s=_COUNT_TIMEOUT_S) >= len(cells.tokens):
                return 0
            kv = await self._capture(cells.seq_id)
            if kv is None:
                return 0
            n_bytes = len(kv)
            cache.info_nowait(cells.kept(kv))
            del kv
            await cache.call(cells.count(), timeout_s=_COUNT_TIMEOUT_S)  # the copy is cut, and gone
            return n_bytes
        return 0

    async def _capture(self, seq_id: SeqId) -> memoryview | None:
        """Copy one sequence out; ``None`` where there is no memory even for that, or no state."""
        try:
            return await self._ctx.run_native(lambda job: job.capture(seq_id), self._job)
        except (MemoryError, StateError) as exc:
            measured = {"entry_bytes": 0, "pending_bytes": 0}
            self._ctx.bus.execute(events.CELLS_DROPPED, measured, {"reason": str(exc) or "no memory"})
            return None
