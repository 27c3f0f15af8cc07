"""The actor that lets others watch a runtime: it tells, and takes no orders."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import trio

from actorllama.actors import ChildSpec, Context, InitOutcome, NoReply, Outcome, Ready, Server, Supervisor
from actorllama.engine import ModelGauges, ObserveOptions, ReadCacheStatistics
from actorllama.errors import ActorError, CacheError
from actorllama.kvcache import StoreStatistics
from actorllama.runtime.events import OBSERVER_OPENED, OBSERVER_UNAVAILABLE, WATCHER_DROPPED
from actorllama.runtime.names import CACHE_NAME, OBSERVER_NAME
from actorllama.runtime.observer_door import Door, open_door
from actorllama.runtime.observer_lines import cache_part, hello_line, snapshot_line
from actorllama.runtime.observer_tail import EventTail
from actorllama.telemetry import Bus

__all__ = ["Observer", "open_observer"]

_N_WATCHERS = 16
_PATIENCE_S = 5.0  # for a line to be taken; after that whoever watches is not watching
_CACHE_PAUSE_S = 2.0
_CACHE_SHARE = 20  # counting files holds the cache up: at most so small a part of its time
_CACHE_TIMEOUT_S = 10.0
_FIRST_WAIT_S = 5.0  # for the cache's first answer: it may have much to count, or much to do


class Observer(Server[None, None, None]):
    """Tell everybody who connects how the runtime stands: a hello, then a snapshot at every interval.

    The first snapshot waits for what the cache says, though not for long: a cache that does not answer is
    told as not known. One line is made for all, and only while somebody watches; who is slow misses lines,
    who does not read at all is sent away. What they send is never read. All tasks are this actor's own: a
    kill ends them and closes every connection, while the door stays open for its successor. It asks the
    cache and nobody else, and stands last in the tree: whatever becomes of it, no model notices.

    Owner of: the connections.
    """

    def __init__(
        self,
        *,
        door: Door,
        options: ObserveOptions,
        look: Callable[[], Sequence[ModelGauges]],
        tail: EventTail,
        started_at_s: float,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Watch through ``look`` and ``tail``, and tell through ``door``, which outlives this actor."""
        self._door = door
        self._options = options
        self._look = look
        self._tail = tail
        self._started_at_s = started_at_s
        self._patience_s = patience_s
        self._n_watchers = 0
        self._seq = 0
        self._line = b""
        self._cache: StoreStatistics | None = None
        self._cache_read_s = 0.0

    async def init(self, ctx: Context) -> InitOutcome:
        """Let the supervisor go on; serving comes next."""
        self._context = ctx
        self._wanted = trio.Event()
        self._wanted_at_s = 0.0
        self._fresh = trio.Event()
        self._cache_answered = trio.Event()
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Serve until this actor is asked to stop: no message is handled meanwhile, and none is expected."""
        process = self._context.process
        if process.is_asked_to_stop:
            return NoReply()
        with trio.CancelScope() as scope:
            process.interrupt = scope.cancel
            try:
                await self._serve()
            finally:
                process.interrupt = None
        return NoReply()

    # -- tasks ---------------------------------------------------------------------------------

    async def _serve(self) -> None:
        # A descriptor of this life's own: the door must stay open when it ends.
        listening = trio.socket.from_stdlib_socket(self._door.listening.dup())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._make_lines)
            nursery.start_soon(self._read_cache)
            await trio.serve_listeners(
                self._attend, [trio.SocketListener(listening)], handler_nursery=nursery
            )

    async def _make_lines(self) -> None:
        while True:
            await self._wanted.wait()
            with trio.move_on_at(self._wanted_at_s + _FIRST_WAIT_S):
                await self._cache_answered.wait()
            self._seq += 1
            self._line = self._snapshot()
            self._fresh.set()
            self._fresh = trio.Event()
            await trio.sleep(self._options.interval_s)

    async def _read_cache(self) -> None:
        while True:
            if not self._wanted.is_set():  # whoever came while this paused is told what was read before
                self._cache, self._cache_answered = None, trio.Event()
                await self._wanted.wait()
            began_s = perf_counter()
            self._cache = await self._ask_cache()
            self._cache_read_s = perf_counter()
            self._cache_answered.set()
            await trio.sleep(max(_CACHE_PAUSE_S, _CACHE_SHARE * (self._cache_read_s - began_s)))

    async def _ask_cache(self) -> StoreStatistics | None:
        cache = self._context.whereis(CACHE_NAME)
        if cache is None:
            return None
        try:
            return await cache.call(ReadCacheStatistics(), timeout_s=_CACHE_TIMEOUT_S)
        except (ActorError, CacheError):
            return None  # being rebuilt, or busy: nothing is known about it now

    async def _attend(self, stream: trio.SocketStream) -> None:
        """Tell one connection all that is told."""
        async with stream:
            if self._n_watchers >= _N_WATCHERS:
                self._drop("too many watch")
                return
            self._n_watchers += 1
            if not self._wanted.is_set():
                self._wanted_at_s = trio.current_time()
                self._wanted.set()
            try:
                await self._tell(stream)
            except trio.BrokenResourceError:
                pass  # it has seen enough
            except trio.TooSlowError:
                self._drop(f"it took no line within {self._patience_s:g} s")
            finally:
                self._n_watchers -= 1
                if not self._n_watchers:
                    self._wanted = trio.Event()

    async def _tell(self, stream: trio.SocketStream) -> None:
        hello = hello_line(
            models=self._look(), interval_s=self._options.interval_s, started_at_s=self._started_at_s
        )
        with trio.fail_after(self._patience_s):
            await stream.send_all(hello)
        while True:
            await self._fresh.wait()
            with trio.fail_after(self._patience_s):
                await stream.send_all(self._line)

    # -- small things --------------------------------------------------------------------------

    def _snapshot(self) -> bytes:
        cache = self._cache
        return snapshot_line(
            seq=self._seq,
            time_s=self._context.bus.system_s(),
            models=self._look(),
            cache=None if cache is None else cache_part(cache, age_s=perf_counter() - self._cache_read_s),
            pressure=self._tail.pressure(),
            events=self._tail.recent(),
        )

    def _drop(self, reason: str) -> None:
        self._context.bus.execute(WATCHER_DROPPED, {"n_watchers": self._n_watchers}, {"reason": reason})


@asynccontextmanager
async def open_observer(
    options: ObserveOptions,
    state_dir: Path | None,
    *,
    bus: Bus,
    look: Callable[[], Sequence[ModelGauges]],
) -> AsyncGenerator[tuple[ChildSpec, ...], None]:
    """Open the door through which a runtime is watched, for as long as the block lasts.

    Yields:
        The child that stands last in the tree; nothing where there is no directory, where observing is
        switched off, and where the door cannot be opened: that is told, and the runtime goes on.
    """
    if state_dir is None or not options.is_enabled:
        yield ()
        return
    try:
        door = await trio.to_thread.run_sync(open_door, state_dir)
    except OSError as error:
        bus.execute(OBSERVER_UNAVAILABLE, {}, {"path": str(state_dir), "error": error})
        yield ()
        return
    tail = EventTail(bus=bus, n_events=options.n_events)
    began_s = bus.system_s()
    observer = ChildSpec(
        id="observer (actor)",
        start=lambda: Observer(door=door, options=options, look=look, tail=tail, started_at_s=began_s),
        name=OBSERVER_NAME,
    )
    # A supervisor of its own: should it crash again and again, it is given up, and nobody else.
    child = ChildSpec(
        id="observer",
        start=lambda: Supervisor(children=(observer,), max_restarts=3, period_s=60.0),
        restart="transient",
        type="supervisor",
    )
    try:
        with tail.listening():
            bus.execute(OBSERVER_OPENED, {}, {"path": str(door.path)})
            yield (child,)
    finally:
        door.close()
