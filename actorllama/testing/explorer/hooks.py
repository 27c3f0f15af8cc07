"""The one place that touches trio's private scheduler.

trio has no public way to order runnable tasks (python-trio/trio#239). Its loop does have a seam for tests:
with ``_ALLOW_DETERMINISTIC_SCHEDULING`` set, every batch of runnable tasks is sorted by age and handed to
``_r.shuffle``. What stays in the batch runs; what is put back on the run queue waits for the next tick.
"""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol, cast

import trio
from attrs import frozen

from actorllama.testing.explorer.errors import ExplorationRunning, UnknownScheduler

__all__ = ["SchedulerHooks", "Tick"]

Tick = Callable[[list[trio.lowlevel.Task]], list[trio.lowlevel.Task]]
"""Given the runnable tasks, oldest first, return those that may step now, in order; the others wait.

It is called on every pass of the loop, with an empty list when no task is runnable.
"""


class _Random(Protocol):
    """What trio asks of its generator."""

    def shuffle(self, batch: list[trio.lowlevel.Task], /) -> None: ...


class _Runner(Protocol):
    """What we ask of trio's runner."""

    runq: deque[trio.lowlevel.Task]


class _RunContext(Protocol):
    runner: _Runner


class _RunModule(Protocol):
    """What we ask of ``trio._core._run``."""

    _r: _Random
    _ALLOW_DETERMINISTIC_SCHEDULING: bool
    GLOBAL_RUN_CONTEXT: _RunContext


@frozen(kw_only=True)
class SchedulerHooks:
    """Puts a tick function into trio's loop and takes it out again.

    Args:
        run_module: ``trio._core._run``, or what stands in for it in a test.
        trio_version: For the error message.
    """

    run_module: object
    trio_version: str

    @classmethod
    def of_trio(cls, module_name: str = "trio._core._run") -> SchedulerHooks:
        """Return the hooks of the installed trio, not yet checked.

        Raises:
            UnknownScheduler: There is no such module.
        """
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise UnknownScheduler(trio_version=trio.__version__, problem=f"no {module_name}") from error
        return cls(run_module=module, trio_version=trio.__version__)

    @contextmanager
    def installed(self, tick: Tick) -> Generator[None]:
        """Let ``tick`` order the tasks of the run that the caller starts on this thread; always undone.

        Runs on other threads keep the order that they had.

        Raises:
            ExplorationRunning: A tick function is installed already.
            UnknownScheduler: The hooks are not there.
        """
        module = self._checked()
        if isinstance(module._r, _TickHook):  # noqa: SLF001 -- the seam that this module is about
            raise ExplorationRunning(where="another exploration is running in this process")
        previous = module._r, module._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001 -- as above
        hook = _TickHook(tick=tick, runs=module.GLOBAL_RUN_CONTEXT, previous=previous[0])
        try:
            module._r, module._ALLOW_DETERMINISTIC_SCHEDULING = hook, True  # noqa: SLF001 -- as above
            yield
        finally:
            module._r, module._ALLOW_DETERMINISTIC_SCHEDULING = previous  # noqa: SLF001 -- as above

    def self_test(self) -> None:
        """Check on the real loop that one task steps per tick and that the chosen one does.

        Raises:
            UnknownScheduler: The hooks are not there, or the loop does not obey them.

        Cost: two runs of a few ticks, well below a millisecond each.
        """
        for index, expected in ((0, "aab"), (-1, "baa")):
            stepped = self._observe(index)
            if stepped != expected:
                raise UnknownScheduler(
                    trio_version=self.trio_version, problem=f"the loop stepped {stepped!r}, not {expected!r}"
                )

    def _observe(self, index: int) -> str:
        """Run two tasks, always stepping the one at ``index``, and tell the order of their steps."""
        stepped: list[str] = []

        async def steps(name: str, n: int) -> None:
            for i in range(n):
                if i:
                    await trio.lowlevel.checkpoint()
                stepped.append(name)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(steps, "a", 2)
                nursery.start_soon(steps, "b", 1)

        def tick(ready: list[trio.lowlevel.Task]) -> list[trio.lowlevel.Task]:
            return ready[index:][:1]

        with self.installed(tick):
            trio.run(main)
        return "".join(stepped)

    def _checked(self) -> _RunModule:
        """Return the module after looking for each thing that is used of it."""
        missing = [
            name
            for name in ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "GLOBAL_RUN_CONTEXT")
            if not hasattr(self.run_module, name)
        ]
        if missing:
            raise UnknownScheduler(
                trio_version=self.trio_version, problem=f"trio._core._run has no {', '.join(missing)}"
            )
        module = cast("_RunModule", self.run_module)
        if not hasattr(module._r, "shuffle"):  # noqa: SLF001 -- the seam that this module is about
            raise UnknownScheduler(trio_version=self.trio_version, problem="its generator has no shuffle()")
        return module


class _TickHook:
    """Stands in for trio's random generator while an exploration runs."""

    def __init__(self, *, tick: Tick, runs: _RunContext, previous: _Random) -> None:
        self._tick = tick
        self._runs = runs
        self._previous = previous
        self._thread_id = threading.get_ident()

    def shuffle(self, batch: list[trio.lowlevel.Task], /) -> None:
        """Keep in the batch what may step now and put the rest back; leave other threads' runs alone."""
        if threading.get_ident() != self._thread_id:
            self._previous.shuffle(batch)
            return
        chosen = self._tick(list(batch))
        self._runs.runner.runq.extend(task for task in batch if task not in chosen)
        batch[:] = reversed(chosen)  # the loop pops from the end

    def __getattr__(self, name: str) -> object:
        """Pass everything else (``random``, ``uniform``, ``seed``...) to trio's own generator."""
        return cast("object", getattr(self._previous, name))
