"""Open a runtime in a script, load models, take them away again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Unpack

from actorllama import runtime as trio_face
from actorllama.actors import NativeRunner, run_in_thread
from actorllama.aio.blocking_bridge import BlockingBridge
from actorllama.aio.blocking_model import BlockingModel
from actorllama.aio.inbox import QueueInbox
from actorllama.aio.portal import Portal
from actorllama.config import Config
from actorllama.engine import EngineHost, ModelGauges, ModelStatus
from actorllama.native import Backend, BuildInfo
from actorllama.native.memory import MemorySource
from actorllama.runtime import LoadOptions, Model
from actorllama.telemetry import Bus

__all__ = ["BlockingRuntime", "open_blocking_runtime"]


class BlockingRuntime:
    """Models under supervision, for scripts. Made by ``actorllama.aio.open_blocking_runtime``.

    Every verb, argument and error is that of `Runtime`. Any thread may use it; the one that opened it
    owns it.
    """

    def __init__(self, portal: Portal) -> None:
        """Lead to a portal that is open."""
        self._portal = portal
        self._bridge = BlockingBridge(portal)

    def load(
        self,
        name: str,
        path: str | Path | None = None,
        *,
        on_progress: Callable[[float], None] | None = None,
        weight: float = 1.0,
        **options: Unpack[LoadOptions],
    ) -> BlockingModel:
        """Load a model and wait until it takes turns; see `Runtime.load`.

        ``on_progress`` is called on the loading thread. If Ctrl-C comes, nothing stays behind.
        """
        runtime = self._portal.runtime
        load = partial(runtime.load, name, path, on_progress=on_progress, weight=weight, **options)
        model: Model = self._bridge.call(load, undo=partial(runtime.unload, name, grace_s=0.0))
        return BlockingModel(self._bridge, model)

    def unload(self, name: str, *, grace_s: float | None = None) -> None:
        """Take no more turns, let the running ones end, free the memory; see `Runtime.unload`."""
        self._bridge.call(partial(self._portal.runtime.unload, name, grace_s=grace_s))

    def model(self, name: str) -> BlockingModel:
        """Return a loaded model by name.

        Raises:
            ModelNotLoaded: There is no such model.
        """
        return BlockingModel(self._bridge, self._portal.runtime.model(name))

    def models(self) -> tuple[ModelStatus, ...]:
        """Ask every model's actor what it is doing, in order of their names."""
        return self._bridge.call(self._portal.runtime.models)

    def gauges(self) -> tuple[ModelGauges, ...]:
        """Read how every model stands, loading ones too, in order of their names; it asks nobody."""
        return self._portal.runtime.gauges()

    def build_info(self) -> BuildInfo:
        """Describe the library that computes."""
        return self._portal.runtime.build_info()


@contextmanager
def open_blocking_runtime(
    config: Config | None = None,
    *,
    backend: Backend | None = None,
    bus: Bus | None = None,
    state_dir: str | Path | None = None,
    make_host: Callable[[], EngineHost] = EngineHost,
    runner: NativeRunner = run_in_thread,
    memory_sources: Sequence[MemorySource] | None = None,
) -> Generator[BlockingRuntime, None, None]:
    """Open a runtime; leaving the block stops every model in order and frees all memory.

    Args:
        config: Options of every room; by default ``Config()``.
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
        RuntimeClosed: The runtime failed while it was open, and the block did not.
    """
    inbox = QueueInbox()
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
    portal = Portal(open_trio, inbox)
    portal.start()
    try:
        inbox.wait_until(lambda: portal.started.is_ended)
        if portal.started.error is None:
            yield BlockingRuntime(portal)
    finally:
        portal.stop()
        inbox.wait_until(lambda: portal.ended.is_ended)
        portal.join()
    error = portal.started.error or portal.ended.error
    if error is not None:
        raise error
