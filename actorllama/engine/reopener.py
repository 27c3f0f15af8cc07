"""The actor that brings a model's context back, so that the model actor need not wait."""

from __future__ import annotations

from actorllama.actors import Context, InitOutcome, Normal, Outcome, Owned, Ready, Ref, Server, Stop
from actorllama.engine.host import EngineHost
from actorllama.engine.load_job import LoadJob
from actorllama.engine.memory_messages import AskRoom, ContextReopened
from actorllama.errors import ActorError
from actorllama.native.memory_devices import BufferSize

__all__ = ["Reopener"]

_ROOM_TIMEOUT_S = 5.0


class Reopener(Server[None, None, None]):
    """Open the context again, as large as memory allows, tell the model actor, end."""

    def __init__(
        self,
        job: Owned[LoadJob],
        host: EngineHost,
        *,
        n_seq: int,
        buffers: tuple[BufferSize, ...],
        pressure: Ref | None,
        report_to: Ref,
    ) -> None:
        """Bring back the context of ``job``.

        Args:
            job: Has the weights.
            host: Tries what a context of another size holds.
            n_seq: Sequences that it shall have at most.
            buffers: What it took when it had so many.
            pressure: Knows how much room there is; without one there is enough.
            report_to: Hears of the end.
        """
        self._job = job
        self._host = host
        self._n_seq = n_seq
        self._buffers = buffers
        self._pressure = pressure
        self._report_to = report_to

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the one who starts it has gone on."""
        self._ctx = ctx
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Ask for room and open."""
        n_seq = max(1, int(self._n_seq * await self._share()))
        try:
            await self._ctx.run_native(lambda job: job.reopen(self._host, n_seq=n_seq), self._job)
        except Exception as exc:  # noqa: BLE001 - carried to the model actor, which decides
            self._report_to.info_nowait(ContextReopened(error=exc))
        else:
            self._report_to.info_nowait(ContextReopened())
        return Stop(Normal())

    async def _share(self) -> float:
        """Ask how much of the context there is room for; one who does not answer knows of no pressure."""
        if self._pressure is None:
            return 1.0
        try:
            return await self._pressure.call(AskRoom(buffers=self._buffers), timeout_s=_ROOM_TIMEOUT_S)
        except ActorError:
            return 1.0
