"""A guard that fails a test whose trio loop was held up (promise P1: no task step above 50 ms)."""

from __future__ import annotations

import gc
import resource
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import trio
from attrs import define, field, frozen

from actorllama.errors import ActorLlamaError

__all__ = ["LoopBlocked", "LoopGuard", "SlowStep", "guard_loop", "loop_guard_fixture"]

_THREADS = Path("/proc/self/task")


@frozen(kw_only=True)
class SlowStep:
    """One task step that took too long."""

    task: str
    step_s: float
    cpu_s: float


class LoopBlocked(ActorLlamaError, AssertionError):
    """Some task steps held up the loop for longer than allowed."""

    def __init__(self, *, steps: tuple[SlowStep, ...], limit_s: float) -> None:
        """Name the steps and the bound."""
        self.steps = steps
        self.limit_s = limit_s
        told = "\n".join(
            f"  {step.task}: {step.step_s:.3f} s ({step.cpu_s:.3f} s on the CPU)" for step in steps
        )
        super().__init__(
            f"these task steps took more than {limit_s} s:\n{told}\n"
            "Move the blocking part to a thread, or put checkpoints into the computation."
        )


@define(kw_only=True, eq=False)
class LoopGuard(trio.abc.Instrument):
    """A trio instrument that times each task step.

    A step is slow if it took longer than ``limit_s`` by the wall clock *and* either computed for half of that
    or gave up the CPU of its own accord (slept, waited for a lock or for the disk). A thread that a busy
    machine merely did not run is not the code's fault and is not counted, nor is time for which threads of
    this process that others wait for stood in line for a CPU: how long since the last step that seemed slow
    is told by the kernel, where it is Linux. Collections of garbage are not counted either: how long one
    takes depends on all objects of the process, and it may come in any step.

    The step in which it is made counts from there.

    Cost: about 2 µs per step.
    """

    limit_s: float = 0.05
    slow_steps: list[SlowStep] = field(factory=list[SlowStep], init=False)
    longest_s: float = field(default=0.0, init=False)
    _began: tuple[float, float, int] = field(factory=lambda: _now(), init=False)
    _thread_id: int = field(factory=threading.get_ident, init=False)
    _collecting: tuple[float, float] = field(default=(0.0, 0.0), init=False)
    _collected_s: float = field(default=0.0, init=False)
    _collected_cpu_s: float = field(default=0.0, init=False)
    _queued_s: float = field(factory=lambda: _queued_s(), init=False)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note the time; trio calls this."""
        self._collected_s = self._collected_cpu_s = 0.0
        self._began = _now()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Compare; trio calls this."""
        wall_s, cpu_s, n_waits = (now - then for now, then in zip(_now(), self._began, strict=True))
        wall_s, cpu_s = wall_s - self._collected_s, cpu_s - self._collected_cpu_s
        self.longest_s = max(self.longest_s, wall_s)
        if wall_s > self.limit_s and (cpu_s > self.limit_s / 2 or n_waits > 0):
            queued_s, self._queued_s = self._queued_s, _queued_s()
            if wall_s - max(0.0, self._queued_s - queued_s) > self.limit_s:
                self.slow_steps.append(SlowStep(task=task.name, step_s=wall_s, cpu_s=cpu_s))

    def note_collection(self, phase: Literal["start", "stop"], _info: dict[str, int]) -> None:
        """Note how long garbage is collected, on whatever thread: the others stand; the interpreter calls."""
        now_s, cpu_s = time.perf_counter(), time.thread_time()
        if phase == "start":
            self._collecting = (now_s, cpu_s)
            return
        self._collected_s += now_s - self._collecting[0]
        if threading.get_ident() == self._thread_id:
            self._collected_cpu_s += cpu_s - self._collecting[1]

    def check(self) -> None:
        """Fail if a step was slow.

        Raises:
            LoopBlocked: With the slow steps.
        """
        if self.slow_steps:
            raise LoopBlocked(steps=tuple(self.slow_steps), limit_s=self.limit_s)


@contextmanager
def guard_loop(*, limit_s: float = 0.05) -> Generator[LoopGuard]:
    """Time every step of the current run inside this block, and fail at its end if one was slow.

    Raises:
        LoopBlocked: At the end of the block, unless the block itself raised.
    """
    guard = LoopGuard(limit_s=limit_s)
    gc.callbacks.append(guard.note_collection)
    trio.lowlevel.add_instrument(guard)
    try:
        yield guard
    finally:
        trio.lowlevel.remove_instrument(guard)
        gc.callbacks.remove(guard.note_collection)
        guard.after_task_step(trio.lowlevel.current_task())  # the step that we are in has no other end
    guard.check()


def loop_guard_fixture(*, limit_s: float = 0.05) -> object:
    """Make a pytest fixture that guards the loop of the tests that ask for it.

    In a ``conftest.py``: ``loop_stays_free = loop_guard_fixture()``; in an async test module:
    ``pytestmark = pytest.mark.usefixtures("loop_stays_free")``. Not as an autouse fixture: being async, it
    would turn synchronous tests into errors under pytest-trio.
    """
    import pytest  # here, so that the test kit is importable without pytest

    async def loop_stays_free() -> AsyncGenerator[LoopGuard]:
        """Fail the test if one of its task steps held up the loop."""
        with guard_loop(limit_s=limit_s) as guard:
            yield guard

    return pytest.fixture(loop_stays_free)


def _now() -> tuple[float, float, int]:
    """Return wall time, this thread's CPU time, and how often it gave up the CPU by itself."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return time.perf_counter(), usage.ru_utime + usage.ru_stime, usage.ru_nvcsw


def _queued_s() -> float:
    """Return for how long the threads of this process stood in line for a CPU; 0 where that is not told."""
    queued_ns = 0
    with suppress(OSError):
        for thread in _THREADS.iterdir():
            with suppress(OSError, ValueError, IndexError):  # it has ended
                queued_ns += int((thread / "schedstat").read_bytes().split()[1])
    return queued_ns / 1e9
