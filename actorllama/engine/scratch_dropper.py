"""The actor that has a model's scratch memory given back, so that the model actor need not wait."""

from __future__ import annotations

from actorllama.actors import Caller, Context, InitOutcome, Normal, Outcome, Owned, Ready, Server, Stop
from actorllama.engine.load_job import LoadJob
from actorllama.errors import ModelLoadError

__all__ = ["ScratchDropper"]


class ScratchDropper(Server[None, None, None]):
    """Have the engine's thread drop pages between two steps, tell who asked, end."""

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
            won_bytes = await self._ctx.run_native(lambda job: job.drop_scratch(self._n_bytes), self._job)
        except ModelLoadError:  # the model is going, and its pages with it
            won_bytes = 0
        if self._caller is not None:
            self._caller.reply(won_bytes)
        return Stop(Normal())
