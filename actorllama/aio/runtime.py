"""Open a runtime in an asyncio program, load models, take them away again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal, Unpack

from actorllama import runtime as trio_face
from actorllama.actors import NativeRunner, run_in_thread
from actorllama.aio.bridge import Bridge
from actorllama.aio.inbox import LoopInbox
from actorllama.aio.model import AsyncModel
from actorllama.aio.portal import Portal
from actorllama.aio.waiting import running_loop, wait_through, wait_until
from actorllama.config import Config
from actorllama.engine import EngineHost, ModelGauges, ModelStatus
from actorllama.errors import RequestError
from actorllama.native import Backend, BuildInfo
from actorllama.native.memory import MemorySource
from actorllama.runtime import LoadOptions, Model
from actorllama.telemetry import Bus

__all__ = ["AsyncRuntime", "open_runtime"]


class AsyncRuntime:
    """Models under supervision, for asyncio programs. Made by ``actorllama.aio.open_runtime``.

    Every verb, argument and error is that of `Runtime`. Tasks of any loop, on any thread, may use it; the
    loop that opened it owns it.
    """

    def __init__(self, portal: Portal) -> None:
        """Lead to a portal that is open."""
        self._portal = portal
        self._bridge = Bridge(portal)

    async def load(
        self,
        name: str,
        path: str | Path | None = None,
        *,
        on_progress: Callable[[float], None] | None = None,
        weight: float = 1.0,
        **options: Unpack[LoadOptions],
    ) -> AsyncModel:
        """Load a model and wait until it takes turns; see `Runtime.load`.

        ``on_progress`` is called on the loading thread. If the caller is cancelled, nothing stays behind.
        """
        runtime = self._portal.runtime
        load = partial(runtime.load, name, path, on_progress=on_progress, weight=weight, **options)
        model: Model = await self._bridge.call(load, undo=partial(runtime.unload, name, grace_s=0.0))
        return AsyncModel(self._bridge, model)

    async def unload(self, name: str, *, grace_s: float | None = None) -> None:
        """Take no more turns, let the running ones end, free the memory; see `Runtime.unload`."""
        await self._bridge.call(partial(self._portal.runtime.unload, name, grace_s=grace_s))

    def model(self, name: str) -> AsyncModel:
        """Return a loaded model by name.

        Raises:
            ModelNotLoaded: There is no such model.
        """
        return AsyncModel(self._bridge, self._portal.runtime.model(name))

    async def models(self) -> tuple[ModelStatus, ...]:
        """Ask every model's actor what it is doing, in order of their names."""
        return await self._bridge.call(self._portal.runtime.models)

    def gauges(self) -> tuple[ModelGauges, ...]:
        """Read how every model stands, loading ones too, in order of their names; it asks nobody."""
        return self._portal.runtime.gauges()

    def build_info(self) -> BuildInfo:
        """Describe the library that computes."""
        return self._portal.runtime.build_info()


@asynccontextmanager
async def open_runtime(
    config: Config | None = None,
    *,
    mode: Literal["thread", "guest"] = "thread",
    backend: Backend | None = None,
    bus: Bus | None = None,
    state_dir: str | Path | None = None,
    make_host: Callable[[], EngineHost] = EngineHost,
    runner: NativeRunner = run_in_thread,
    memory_sources: Sequence[MemorySource] | None = None,
) -> AsyncGenerator[AsyncRuntime, None]:
    """Open a runtime; leaving the block stops every model in order and frees all memory.

    Args:
        config: Options of every room; by default ``Config()``.
        mode: Where trio runs: ``thread``, on a thread of its own; ``guest``, inside this loop, on its thread.
            The thread costs less. A guest needs the loop to its end: close the runtime before the loop.
        backend: What computes; by default llama.cpp.
        bus: Where events go; its handlers are called on trio's thread.
        state_dir: Directory where kept turns outlive the process.
        make_host: As for the trio face.
        runner: As for the trio face.
        memory_sources: Who says how much memory is used; as for the trio face.

    Yields:
        The runtime.

    Raises:
        ConfigError: The key file of the cache cannot be used.
        RequestError: There is no such mode.
        StateError: No asyncio loop runs here.
        RuntimeClosed: The runtime failed while it was open, and the block did not.
    """
    loop = running_loop("open_runtime")
    if mode not in ("thread", "guest"):
        raise RequestError(field="mode", value=mode, reason="'thread' or 'guest'")
    open_trio = partial(
        trio_face.open_runtime,
        config,
        backend=backend,
        bus=bus,
        state_dir=state_dir,
        make_host=make_host,
        runner=runner,
        memory_sources=memory_sources,
    )
    portal = Portal(open_trio, LoopInbox(loop))
    if mode == "guest":
        portal.start_as_guest(loop.call_soon_threadsafe, loop.call_soon)
    else:
        portal.start()
    try:
        await wait_until(portal.started, lambda: portal.started.is_ended)
        if portal.started.error is None:
            yield AsyncRuntime(portal)
    finally:
        portal.stop()
        if not loop.is_closed():  # else nothing may wait; the portal ends by itself
            try:
                await wait_through(portal.ended)
            finally:
                portal.join()
    error = portal.started.error or portal.ended.error
    if error is not None:
        raise error
