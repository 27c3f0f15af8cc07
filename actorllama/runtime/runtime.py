"""Open the tree, load models, take them away again."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Unpack

import trio

from actorllama.actors import (
    ChildSpec,
    DynamicSupervisor,
    NativeRunner,
    Ref,
    Shutdown,
    Supervisor,
    System,
    open_system,
    run_in_thread,
    start_child,
    which_children,
)
from actorllama.config import Config
from actorllama.engine import (
    CacheActor,
    Describe,
    EngineHost,
    GaugeBoard,
    GetHost,
    HostActor,
    ModelActor,
    ModelGauges,
    ModelSpec,
    ModelStatus,
    PressureActor,
    Unload,
    WaitReady,
)
from actorllama.errors import (
    ActorExited,
    EngineError,
    ModelAlreadyLoaded,
    ModelLoadError,
    ModelNotLoaded,
    NameTaken,
    StartRefused,
)
from actorllama.ids import TurnId
from actorllama.native import Backend, BuildInfo
from actorllama.native.memory import MemorySource
from actorllama.native.sampling import check_number
from actorllama.runtime.event_loop import insist_on_trio
from actorllama.runtime.flushing import flushed
from actorllama.runtime.gauges import read_gauges
from actorllama.runtime.generated_source import forget_generated_source
from actorllama.runtime.key_file import read_mac_key
from actorllama.runtime.load_options import LoadOptions, build_spec, check_name
from actorllama.runtime.model import Model
from actorllama.runtime.names import (
    CACHE_NAME,
    HOST_NAME,
    MODELS_NAME,
    PRESSURE_NAME,
    model_name,
    supervisor_name,
)
from actorllama.runtime.observer import open_observer
from actorllama.runtime.switch_interval import short_switch_interval
from actorllama.telemetry import Bus

__all__ = ["Runtime", "open_runtime"]


class Runtime:
    """Models under supervision. Made by ``open_runtime``.

    Any task of the event loop that opened it may use it.
    """

    def __init__(
        self, *, system: System, config: Config, backend: Backend, state_dir: Path | None = None
    ) -> None:
        """Keep what ``open_runtime`` has made."""
        self._verdict_dir = None if state_dir is None else state_dir / "verdicts"
        self._system = system
        self._config = config
        self._backend = backend
        self._turn_ids = count(1)
        self._models: dict[str, Model] = {}
        self._boards: dict[str, GaugeBoard] = {}

    async def load(
        self,
        name: str,
        path: str | Path | None = None,
        *,
        on_progress: Callable[[float], None] | None = None,
        weight: float = 1.0,
        **options: Unpack[LoadOptions],
    ) -> Model:
        """Load a model and wait until it takes turns.

        Args:
            name: What the model is called from now on: letters, digits, ``.``, ``_``, ``-``.
            path: A GGUF file; by default the demo model that comes with the package.
            on_progress: Called with 0 to 1 while the weights are read, on the loading thread.
            weight: Share of the engine's time beside other models.
            options: See ``ContextOptions`` and ``ModelOptions``; the rest comes from the configuration.

        Raises:
            ModelLoadError: The file cannot be used; the message says why.
            ModelAlreadyLoaded: The name is taken.
            RequestError: The name or an option is not usable.

        If the caller is cancelled, loading stops and leaves nothing behind.
        """
        check_name(name)
        if await self._is_taken(name):
            raise ModelAlreadyLoaded(model=name)
        spec = build_spec(
            name,
            path,
            options,
            config=self._config,
            backend=self._backend,
            weight=weight,
            on_progress=on_progress,
            verdict_dir=self._verdict_dir,
        )
        await self._start(spec)
        self._boards[name] = spec.board
        is_ready = False
        try:
            ref = self._system.whereis(model_name(name))
            if ref is None:
                raise ModelLoadError(path=str(spec.path), reason="its actor ended at once")
            info = await ref.call(WaitReady(), timeout_s=math.inf)
            is_ready = True
        except ActorExited as exc:
            raise _load_error(spec, exc) from exc
        finally:
            if not is_ready:
                await self._drop(name)
        model = Model(
            name=name, system=self._system, info=info, board=spec.board, next_turn_id=self._next_turn_id
        )
        self._models[name] = model
        return model

    async def unload(self, name: str, *, grace_s: float | None = None) -> None:
        """Take no more turns, let the running ones end, free the memory.

        Returns when the memory is free: after ``grace_s`` and the end of one step at the latest.

        Args:
            name: As given to ``load``.
            grace_s: Seconds that running turns get; then they are cancelled. Default: the configuration's.

        Raises:
            ModelNotLoaded: There is no such model.
        """
        grace_s = self._config.engine.unload_grace_s if grace_s is None else grace_s
        check_number("grace_s", grace_s, low=0.0, high=_MAX_GRACE_S)
        if self._system.whereis(supervisor_name(name)) is None:
            await trio.lowlevel.checkpoint()
            raise ModelNotLoaded(model=name, loaded=self._names())
        self._models.pop(name, None)
        ref = self._system.whereis(model_name(name))
        if ref is not None:
            # Of this incarnation: after a crash just now there may be another, which goes below.
            ended = self._system.monitor(ref)
            with suppress(ActorExited):
                await ref.call(Unload(grace_s=grace_s), timeout_s=math.inf)
            with trio.move_on_after(grace_s + _END_TIMEOUT_S):
                await ended.wait()
        await self._drop(name)

    def model(self, name: str) -> Model:
        """Return a loaded model by name.

        Raises:
            ModelNotLoaded: There is no such model.
        """
        if name not in self._models or self._system.whereis(supervisor_name(name)) is None:
            raise ModelNotLoaded(model=name, loaded=self._names())
        return self._models[name]

    async def models(self) -> tuple[ModelStatus, ...]:
        """Ask every model's actor what it is doing, in order of their names."""
        found: list[ModelStatus] = []
        for name in self._names():
            ref = self._system.whereis(model_name(name))
            if ref is not None:
                try:
                    found.append(await ref.call(Describe()))
                except ActorExited:
                    continue  # it ended between the two lines: it is not there any more
        await trio.lowlevel.checkpoint()
        return tuple(found)

    def gauges(self) -> tuple[ModelGauges, ...]:
        """Read how every model stands, loading ones too, in order of their names.

        Unlike `models` it asks nobody: no call, no lock, no wait; any thread may read.
        """
        # list() of a dict's items is one step of the interpreter: no other thread comes between.
        boards = sorted(list(self._boards.items()), key=lambda item: item[0])  # noqa: C414
        return tuple(read_gauges(board, self._system) for _, board in boards)

    def build_info(self) -> BuildInfo:
        """Describe the library that computes."""
        return self._backend.build_info()

    async def host(self) -> EngineHost:
        """Return the engine's host, for what must run on its thread: a canary, a bench's bare loop."""
        ref = self._system.whereis(HOST_NAME)
        assert ref is not None, "an open runtime has a host"
        return await ref.call(GetHost())

    @property
    def backend(self) -> Backend:
        """What computes."""
        return self._backend

    @property
    def system(self) -> System:
        """The actors underneath: ``system.tree()``, names, monitors."""
        return self._system

    # -- behind the face -----------------------------------------------------------------------

    def _names(self) -> tuple[str, ...]:
        return tuple(sorted(name for name in self._models if self._system.whereis(supervisor_name(name))))

    def _next_turn_id(self) -> TurnId:
        return TurnId(next(self._turn_ids))

    async def _is_taken(self, name: str) -> bool:
        """Tell whether a model has the name; one that has just ended for good has not."""
        supervisor = self._system.whereis(supervisor_name(name))
        if supervisor is None or self._system.whereis(model_name(name)) is not None:
            return supervisor is not None
        try:  # it answers when it has dealt with the death, because that came first
            await which_children(supervisor)
        except ActorExited:
            return False
        return True

    async def _start(self, spec: ModelSpec) -> None:
        models = self._system.whereis(MODELS_NAME)
        if models is None:
            raise EngineError("the runtime is closed. Open a new one.")
        engine = spec.engine_options
        # A supervisor for each model: one that crashes too often takes nobody else with it.
        actor = ChildSpec(
            id=f"{spec.name} (actor)",
            start=lambda: ModelActor(
                spec, host_name=HOST_NAME, cache_name=CACHE_NAME, pressure_name=PRESSURE_NAME
            ),
            restart="transient",
            significant=True,
            name=model_name(spec.name),
            mailbox_capacity=max(engine.queue_capacity, 64) + 64,
            shutdown=_STOP_GRACE_S,
        )
        child = ChildSpec(
            id=spec.name,
            start=lambda: Supervisor(
                children=(actor,),
                max_restarts=engine.max_restarts,
                period_s=engine.restart_period_s,
                auto_shutdown="any_significant",
            ),
            restart="temporary",
            name=supervisor_name(spec.name),
            type="supervisor",
        )
        try:
            await start_child(models, child)
        except NameTaken as exc:
            raise ModelAlreadyLoaded(model=spec.name) from exc
        except StartRefused as exc:
            raise ModelLoadError(path=str(spec.path), reason=str(exc)) from exc

    async def _drop(self, name: str) -> None:
        """Stop what is left of a model and wait for its end, also if the caller is cancelled."""
        self._boards.pop(name, None)
        supervisor: Ref | None = self._system.whereis(supervisor_name(name))
        if supervisor is None:
            return
        with trio.move_on_after(_END_TIMEOUT_S, shield=True):
            with suppress(ActorExited):  # that is what was wanted
                await supervisor.stop(Shutdown("unloaded"), timeout_s=math.inf)


_STOP_GRACE_S = 30.0
_MAX_GRACE_S = 1e9
_END_TIMEOUT_S = 60.0


@asynccontextmanager
async def open_runtime(
    config: Config | None = None,
    *,
    backend: Backend | None = None,
    bus: Bus | None = None,
    state_dir: str | Path | None = None,
    make_host: Callable[[], EngineHost] = EngineHost,
    runner: NativeRunner = run_in_thread,
    memory_sources: Sequence[MemorySource] | None = None,
) -> AsyncGenerator[Runtime, None]:
    """Open a runtime; leaving the block stops every model in order and frees all memory.

    Args:
        config: Options of every room; by default ``Config()``. ``load_config`` reads files and variables.
        backend: What computes; by default llama.cpp.
        bus: Where events go.
        state_dir: Directory where kept turns outlive the process; several processes may share it. Without
            one they live in RAM.
        make_host: Makes the host that steps the models; tests put one here that needs no thread.
        runner: Runs blocking calls; tests put one here that they control.
        memory_sources: Who says how much memory is used; by default this machine, where llama.cpp computes.
            A ``backend`` given here has none unless they are given too.

    Yields:
        The runtime.

    Raises:
        ConfigError: The key file of the cache cannot be used.
        StateError: No trio loop runs here.
    """
    insist_on_trio("open_runtime")
    config = config or Config()
    root = None if state_dir is None else Path(state_dir)
    snapshots = None if root is None else root / "snapshots"
    key_file = config.cache.mac_key_file
    mac_key = await trio.to_thread.run_sync(read_mac_key, key_file) if key_file else None
    if backend is None:
        sources = memory_sources
        backend = await trio.to_thread.run_sync(_llama_backend)
    else:
        sources = memory_sources or ()
    async with flushed(bus), open_system(name="actorllama", bus=bus, runner=runner) as system:
        runtime = Runtime(system=system, config=config, backend=backend, state_dir=root)
        observing = open_observer(config.observe, root, bus=system.bus, look=runtime.gauges)
        children = (
            ChildSpec(id="host", start=lambda: HostActor(make_host), name=HOST_NAME, shutdown=_END_TIMEOUT_S),
            ChildSpec(
                id="cache",
                start=lambda: CacheActor(config.cache, snapshots, mac_key=mac_key),
                name=CACHE_NAME,
                shutdown=_END_TIMEOUT_S,
            ),
            ChildSpec(
                id="models",
                start=DynamicSupervisor,
                name=MODELS_NAME,
                type="supervisor",
            ),
            ChildSpec(
                id="pressure",
                start=lambda: PressureActor(
                    config.pressure,
                    sources=sources,
                    backend=backend,
                    cache_name=CACHE_NAME,
                    models_name=MODELS_NAME,
                    model_name=model_name,
                ),
                name=PRESSURE_NAME,
            ),
        )
        async with observing as observer:  # last in the tree: nobody is restarted with it
            tree = (*children, *observer)
            await system.start(lambda: Supervisor(strategy="rest_for_one", children=tree), name="runtime")
            with short_switch_interval(config.engine.switch_interval_s):
                yield runtime


def _llama_backend() -> Backend:
    forget_generated_source()  # llama.cpp's bindings have the memory next
    from actorllama.native.llama import LlamaBackend

    return LlamaBackend()


def _load_error(spec: ModelSpec, exc: ActorExited) -> Exception:
    match exc.reason:
        case Shutdown(EngineError() as cause):
            return cause
        case reason:
            return ModelLoadError(
                path=str(spec.path), reason=f"its actor ended: {reason}", hint="See the log."
            )
