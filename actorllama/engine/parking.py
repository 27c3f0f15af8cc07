"""A model's context put aside and brought back: what its actor remembers of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from actorllama.actors import Caller, Context, Owned
from actorllama.engine import events
from actorllama.engine.host import EngineHost
from actorllama.engine.idle_cells import IdleCells
from actorllama.engine.idle_clock import IdleClock
from actorllama.engine.load_job import LoadJob
from actorllama.engine.memory_messages import DropScratch, HeldMemory, Parked
from actorllama.engine.messages import Open
from actorllama.engine.parker import Parker
from actorllama.engine.reopener import Reopener
from actorllama.engine.scratch_dropper import ScratchDropper
from actorllama.engine.spec import ModelSpec
from actorllama.native.memory_devices import BufferSize

__all__ = ["Parking"]

_ALL_BYTES: Final = 1 << 62


class Parking:
    """Put the context of an idle model aside, and bring it back for the next turn.

    Only while no turn runs and none waits; the actor sees to that. The weights stay.

    Owner: the model actor. The work is done by children of it.
    """

    def __init__(
        self, spec: ModelSpec, ctx: Context, job: Owned[LoadJob], *, cache_name: str, pressure_name: str
    ) -> None:
        """Put aside what ``job`` has opened."""
        self._spec = spec
        self._ctx = ctx
        self._job = job
        self._cache_name = cache_name
        self._pressure_name = pressure_name
        self._caller: Caller | None = None
        self._buffers: tuple[BufferSize, ...] = ()
        self._n_seq = spec.context_options.n_seq
        self._idle = IdleClock(ctx, DropScratch(n_bytes=_ALL_BYTES))
        self.closed_because = ""
        """Why no new turns are taken; empty if they are."""
        self.wants_growth = False
        """Whether a context that was brought back smaller is to be made whole when it is idle."""

    @property
    def is_small(self) -> bool:
        """Whether the context was brought back smaller than it was wanted."""
        return self._n_seq < self._spec.context_options.n_seq

    def note_use(self) -> None:
        """Remember that the model was used now."""
        self._idle.note_use()

    def held(self, job: LoadJob, *, is_active: bool) -> HeldMemory:
        """Say what the model holds."""
        return HeldMemory(
            context=job.opened.context.facts.buffers if job.opened is not None else (),
            weights=job.weights,
            scratch_bytes=job.scratch_bytes,
            is_active=is_active,
            used_at_s=self._idle.used_at_s,
        )

    async def drop_scratch(self, message: DropScratch, caller: Caller | None, *, is_idle: bool) -> None:
        """Begin to give up pages that nobody has; without a caller only after a pause."""
        if caller is None and not (self._idle.is_over() and is_idle):
            return
        if caller is None or self._job.value.scratch_bytes:
            await self._ctx.start(lambda: ScratchDropper(self._job, message.n_bytes, caller))
        else:
            caller.reply(0)

    async def park(self, idle: Sequence[IdleCells], caller: Caller | None) -> None:
        """Begin to put the context aside; ``caller`` is answered when its memory is free."""
        self._caller = caller
        self.wants_growth = False
        cache = self._ctx.whereis(self._cache_name)
        report_to = self._ctx.ref
        await self._ctx.start(lambda: Parker(self._job, idle, cache=cache, report_to=report_to))

    def parked(self, parked: Parked) -> None:
        """Take note that the context is closed."""
        if self._n_seq == self._spec.context_options.n_seq:
            self._buffers = parked.freed
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.reply(parked)
        freed_bytes = sum(size.n_bytes for size in parked.freed)
        measured = {"freed_bytes": freed_bytes, "kept_bytes": parked.kept_bytes}
        self._ctx.bus.execute(events.CONTEXT_PARKED, measured, {"model": self._spec.name})

    async def reopen(self, host: EngineHost) -> None:
        """Begin to bring the context back."""
        job, pressure, report_to = self._job, self._ctx.whereis(self._pressure_name), self._ctx.ref
        n_seq = self._spec.context_options.n_seq
        self._began_s = trio.current_time()
        await self._ctx.start(
            lambda: Reopener(
                job, host, n_seq=n_seq, buffers=self._buffers, pressure=pressure, report_to=report_to
            )
        )

    def reopened(self, opened: Open) -> None:
        """Take note that the context is there again, and how large."""
        self._n_seq = opened.context.facts.n_seq
        self.wants_growth = False
        measured = {
            "duration_s": trio.current_time() - self._began_s,
            "n_seq": self._n_seq,
            "n_wanted": self._spec.context_options.n_seq,
        }
        self._ctx.bus.execute(events.CONTEXT_REOPENED, measured, {"model": self._spec.name})
