"""Native resources must outlive the actor that uses them, until their threads have returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import trio

from actorllama.actors.events import RELEASE_FAILED
from actorllama.telemetry import Bus

__all__ = ["NativeRunner", "Owned", "Reaper", "run_in_thread"]

T = TypeVar("T")
R = TypeVar("R")


class NativeRunner(Protocol):
    """Run a blocking function somewhere else and wait until it has returned, cancelled or not."""

    async def __call__(self, fn: Callable[[], R], /, *, limiter: trio.CapacityLimiter) -> R:
        """Return what ``fn`` returns, raise what it raises."""
        ...


async def run_in_thread(fn: Callable[[], R], /, *, limiter: trio.CapacityLimiter) -> R:
    """Run ``fn`` in a worker thread: the runner that is used outside tests."""
    return await trio.to_thread.run_sync(fn, limiter=limiter)


class Owned(Generic[T]):
    """A native resource, with what stops a call on it and what frees it.

    Owner: the reaper. The actor that made it uses it through ``ctx.run_native`` until it dies.
    """

    __slots__ = ("_abort", "_close", "_limiter", "_n_running", "is_released", "value")

    def __init__(self, value: T, close: Callable[[T], None], abort: Callable[[T], None] | None) -> None:
        """Made by ``ctx.own``."""
        self.value = value
        self.is_released = False
        self._close = close
        self._abort = abort
        self._n_running = 0
        self._limiter = trio.CapacityLimiter(1)


class _Job(Generic[R]):
    """A native call under way, and what became of it."""

    __slots__ = ("done", "error", "result")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.error: Exception | None = None
        self.result: list[R] = []


class Reaper:
    """Run native calls in tasks of its own, and free each resource exactly once, after its last call.

    An actor that is killed during a call is dead at once for everybody; the call goes on here, its result
    is dropped, and the resource is freed when the thread has returned (rule P13).

    Owner: the system.
    """

    __slots__ = ("_bus", "_nursery", "_runner")

    def __init__(self, *, nursery: trio.Nursery, runner: NativeRunner, bus: Bus) -> None:
        """Use the system's nursery, so that the system cannot end before its threads have."""
        self._nursery = nursery
        self._runner = runner
        self._bus = bus

    async def run(self, fn: Callable[[T], R], owned: Owned[T]) -> R:
        """Run ``fn(owned.value)`` in a thread; one call at a time per resource.

        Raises:
            RuntimeError: The resource is released.
            Exception: Whatever ``fn`` raises.
        """
        if owned.is_released:
            raise RuntimeError(f"{owned.value!r} is released; a dead actor's resource cannot be used")
        job: _Job[R] = _Job()
        owned._n_running += 1  # noqa: SLF001 - the reaper is the owner
        self._nursery.start_soon(self._work, fn, owned, job)
        await job.done.wait()
        if job.error is not None:
            raise job.error
        return job.result[0]

    def release(self, owned: Owned[T]) -> None:
        """Free the resource once nothing runs on it; asks a running call to stop. Idempotent."""
        if owned.is_released:
            return
        owned.is_released = True
        if owned._n_running == 0:  # noqa: SLF001
            self._nursery.start_soon(self._free, owned)
        elif owned._abort is not None:  # noqa: SLF001
            try:
                owned._abort(owned.value)  # noqa: SLF001
            except Exception as exc:  # noqa: BLE001 - a death goes on whatever a resource says
                self._tell_failure(owned, exc)

    async def _work(self, fn: Callable[[T], R], owned: Owned[T], job: _Job[R]) -> None:
        try:
            job.result.append(await self._runner(lambda: fn(owned.value), limiter=owned._limiter))  # noqa: SLF001
        except Exception as exc:  # noqa: BLE001 - carried over to the actor's own guard
            job.error = exc
        owned._n_running -= 1  # noqa: SLF001
        job.done.set()
        if owned.is_released and owned._n_running == 0:  # noqa: SLF001
            await self._free(owned)

    async def _free(self, owned: Owned[T]) -> None:
        try:
            await self._runner(lambda: owned._close(owned.value), limiter=owned._limiter)  # noqa: SLF001
        except Exception as exc:  # noqa: BLE001 - the actor that would have to hear of it is dead
            self._tell_failure(owned, exc)

    def _tell_failure(self, owned: Owned[T], exc: Exception) -> None:
        self._bus.execute(RELEASE_FAILED, {}, {"resource": repr(owned.value), "error": exc})
