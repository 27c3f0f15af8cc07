"""The actor that waits for a model to load, so that the model actor need not."""

from __future__ import annotations

from actorllama.actors import Context, InitOutcome, Normal, Outcome, Owned, Ready, Ref, Server, Stop
from actorllama.engine.events import LOAD_TIGHT
from actorllama.engine.first_collection import collect_if_young
from actorllama.engine.host import EngineHost
from actorllama.engine.load_job import LoadJob
from actorllama.engine.memory_messages import ReadMemory
from actorllama.engine.messages import LoadFinished
from actorllama.errors import ActorError
from actorllama.native.memory_trim import trim_heap

__all__ = ["Loader"]


class Loader(Server[None, None, None]):
    """Load in a thread, tell the model actor, end.

    The job belongs to the model actor: if that one is killed, the reaper stops the job and frees what
    it made, whether or not this actor is still alive.
    """

    def __init__(
        self,
        job: Owned[LoadJob],
        host: EngineHost,
        *,
        pressure: Ref | None,
        fits_check: str,
        report_to: Ref,
    ) -> None:
        """Load ``job``, try it on ``host``, and report to ``report_to``.

        Args:
            job: What is loaded.
            host: Tries what it holds.
            pressure: Knows what memory is free; without one nobody does.
            fits_check: ``refuse`` what will not fit, ``warn`` of it, or do not look: ``off``.
            report_to: Hears of the end.
        """
        self._job = job
        self._host = host
        self._pressure = pressure
        self._fits_check = fits_check
        self._report_to = report_to

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the one who starts it has gone on."""
        self._ctx = ctx
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Load."""
        try:
            await self._check_fit()
            await self._ctx.run_native(self._load, self._job)
        except Exception as exc:  # noqa: BLE001 - carried to the model actor, which decides
            self._report_to.info_nowait(LoadFinished(error=exc))
        else:
            self._report_to.info_nowait(LoadFinished())
        return Stop(Normal())

    def _load(self, job: LoadJob) -> None:
        job.load(self._host)
        collect_if_young()
        trim_heap()  # what was only needed to load: a megabyte, with a large vocabulary more

    async def _check_fit(self) -> None:
        """Refuse what will not fit before a byte of it is read."""
        if self._pressure is None or self._fits_check == "off":
            return
        try:
            view = await self._pressure.call(ReadMemory())
        except ActorError:
            return  # nobody knows what is free: llama.cpp will find out
        error = await self._ctx.run_native(lambda job: job.misfit(view), self._job)
        if error is None:
            return
        if self._fits_check == "refuse":
            raise error
        about = {"path": error.path, "error": error}
        self._ctx.bus.execute(LOAD_TIGHT, {"n_readings": len(view.readings)}, about)
