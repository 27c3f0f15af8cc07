"""What the parts of each step cost, and how long the engine waited for the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from time import perf_counter_ns, thread_time_ns
from typing import NamedTuple

from actorllama.engine import STEP_PARTS, StepPart
from actorllama.native.run_delay import RunDelay

__all__ = ["StepRecorder", "StepTimes"]


class StepTimes(NamedTuple):
    """One step, in nanoseconds."""

    parts: dict[StepPart, int]
    """A part that occurs twice is added up."""
    handover: int
    """``decode``, less its processor time, less the time that it could have run and did not: waiting for the
    interpreter after ``llama_decode``, and for llama.cpp's own threads."""


class _Mark(NamedTuple):
    part: StepPart
    ended: int
    """When the part before ended."""
    began: int
    """When this one began: later by what the readings took."""
    cpu: int = 0
    delay: int = 0


class StepRecorder:
    """A probe that notes when each part of each step began.

    Owner: the host's thread, from the first call on; read and cleared while that thread takes no step.

    Cost: some 8 µs a step, and 50 to 100 when all that it touches is out of the processor's caches; nearly
    all of it two readings around ``decode``, which are in no part.
    """

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int] = perf_counter_ns,
        cpu_clock_ns: Callable[[], int] = thread_time_ns,
        delay_ns: Callable[[], int] | None = None,
    ) -> None:
        """Read these clocks; without ``delay_ns`` what Linux says about the thread that calls first."""
        self._clock_ns = clock_ns
        self._cpu_clock_ns = cpu_clock_ns
        self._delay_ns = delay_ns
        self._run_delay: RunDelay | None = None
        self._marks: list[_Mark] = []
        self._is_decoding = False

    def __call__(self, part: StepPart) -> None:
        """Note that this part begins now."""
        now = self._clock_ns()
        if part == "decode":
            delay = self._delay()
            cpu = self._cpu_clock_ns()
            mark = _Mark(part, now, self._clock_ns(), cpu, delay)
        elif self._is_decoding:
            cpu = self._cpu_clock_ns()
            delay = self._delay()
            mark = _Mark(part, now, self._clock_ns(), cpu, delay)
        else:
            mark = _Mark(part, now, now)
        self._is_decoding = part == "decode"
        self._marks.append(mark)

    def take(self) -> list[StepTimes]:
        """Return the steps since the last time, and begin again; a part that has not ended is left out."""
        marks, self._marks = self._marks, []
        self._is_decoding = False
        steps: list[StepTimes] = []
        step: list[tuple[_Mark, _Mark]] = []
        for mark, end in pairwise(marks):
            if mark.part == "plan" and step:
                steps.append(_times(step))
                step = []
            step.append((mark, end))
        return [*steps, _times(step)] if step else steps

    def close(self) -> None:
        """Close what the clocks read from; safe to call again."""
        if self._run_delay is not None:
            self._run_delay.close()

    def _delay(self) -> int:
        if self._delay_ns is None:
            self._run_delay = RunDelay()
            self._delay_ns = self._run_delay.read_ns
        return self._delay_ns()


def _times(step: Sequence[tuple[_Mark, _Mark]]) -> StepTimes:
    parts: dict[StepPart, int] = dict.fromkeys(STEP_PARTS, 0)
    handover = 0
    for mark, end in step:
        wall = end.ended - mark.began
        parts[mark.part] += wall
        if mark.part == "decode":
            handover += max(0, wall - (end.cpu - mark.cpu) - (end.delay - mark.delay))
    return StepTimes(parts, handover)
