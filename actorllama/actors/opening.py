"""Opening a system, and the bridge between the cancellation outside and the order inside."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from attrs import field, frozen

from actorllama.actors.reaper import NativeRunner, run_in_thread
from actorllama.actors.reason import flatten
from actorllama.actors.system import System
from actorllama.telemetry import Bus

__all__ = ["open_system"]


@asynccontextmanager
async def open_system(
    *,
    name: str = "system",
    bus: Bus | None = None,
    runner: NativeRunner = run_in_thread,
    messages_per_step: int = 16,
) -> AsyncGenerator[System, None]:
    """Open a system of actors; its end stops them all, last started first, each bounded by its grace.

    That holds for every way out of the block: its end, an error in it, a timeout or cancellation around
    it, Ctrl-C. The actors' tasks are shielded from cancellation outside; a sibling that is not shielded
    turns it into a request to close.

    Args:
        name: Shown in ``tree()``.
        bus: Where events go; by default to nobody.
        runner: Runs native calls; tests put one here that they control.
        messages_per_step: How many messages an actor may handle before other tasks get a turn.
    """
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as bridge:
            stage = _Stage(name=name, bus=bus or Bus(), runner=runner, messages_per_step=messages_per_step)
            system = await bridge.start(stage.host)
            bridge.start_soon(stage.watch_for_cancellation, system)
            try:
                yield system
            finally:
                system.request_close()
    except BaseExceptionGroup as group:
        error = flatten(group)
        if error is group:
            raise
    if error is not None:
        raise error


@frozen(kw_only=True)
class _Stage:
    """The bridge between the cancellation outside and the order inside."""

    name: str
    bus: Bus
    runner: NativeRunner
    messages_per_step: int
    watcher: trio.CancelScope = field(factory=trio.CancelScope)

    async def host(self, task_status: trio.TaskStatus[System]) -> None:
        with trio.CancelScope(shield=True):
            await self._run(task_status)
        self.watcher.cancel()

    async def _run(self, task_status: trio.TaskStatus[System]) -> None:
        async with trio.open_nursery() as nursery:
            system = System(
                name=self.name,
                bus=self.bus,
                nursery=nursery,
                runner=self.runner,
                messages_per_step=self.messages_per_step,
            )
            await nursery.start(system.run)
            task_status.started(system)
        system.raise_interrupt()

    async def watch_for_cancellation(self, system: System) -> None:
        try:
            with self.watcher:
                await trio.sleep_forever()
        finally:
            system.request_close()
