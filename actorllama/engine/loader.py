"""The actor that waits for a model to load, so that the model actor need not."""

from __future__ import annotations

from actorllama.actors import Context, InitOutcome, Normal, Outcome, Owned, Ready, Ref, Server, Stop
from actorllama.engine.host import EngineHost
from actorllama.engine.load_job import LoadJob
from actorllama.engine.messages import LoadFinished

__all__ = ["Loader"]


class Loader(Server[None, None, None]):
    """Load in a thread, tell the model actor, end.

    The job belongs to the model actor: if that one is killed, the reaper stops the job and frees what
    it made, whether or not this actor is still alive.
    """

    def __init__(self, job: Owned[LoadJob], host: EngineHost, report_to: Ref) -> None:
        """Load ``job``, try it on ``host``, and report to ``report_to``."""
        self._job = job
        self._host = host
        self._report_to = report_to

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the one who starts it has gone on."""
        self._ctx = ctx
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Load."""
        try:
            await self._ctx.run_native(lambda job: job.load(self._host), self._job)
        except Exception as exc:  # noqa: BLE001 - carried to the model actor, which decides
            self._report_to.info_nowait(LoadFinished(error=exc))
        else:
            self._report_to.info_nowait(LoadFinished())
        return Stop(Normal())
