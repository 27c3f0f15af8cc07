"""The actor that has a model's scratch memory given back, so that the model actor need not wait."""

from __future__ import annotations

from actorllama.actors import Caller, Context, InitOutcome, Normal, Outcome, Owned, Ready, Server, Stop
from actorllama.engine.load_job import LoadJob
from actorllama.errors import ModelLoadError
from actorllama.native.memory_trim import trim_heap

__all__ = ["ScratchDropper"]


class ScratchDropper(Server[None, None, None]):
    """Have the engine's thread drop pages between two steps, tell who asked, end.

    Nobody asks after a pause; what the turns have left free in the heap goes back then, too.
    """

    def __init__(self, job: Owned[LoadJob], n_bytes: int, caller: Caller | None) -> None:
        """Drop at most ``n_bytes`` of what ``job`` keeps, and reply to ``caller`` if there is one."""
        self._job = job
        self._n_bytes = n_bytes
        self._caller = caller

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the one who starts it has gone on."""
        self._ctx = ctx
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Drop and tell."""
        try:
            won_bytes = await self._ctx.run_native(self._drop, self._job)
        except ModelLoadError:  # the model is going, and its pages with it
            won_bytes = 0
        if self._caller is not None:
            self._caller.reply(won_bytes)
        return Stop(Normal())

    def _drop(self, job: LoadJob) -> int:
        won_bytes = job.drop_scratch(self._n_bytes) if job.scratch_bytes else 0
        if self._caller is None:
            trim_heap()
        return won_bytes
