"""A recorder adds up what the parts of each step took, and what the engine waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actorllama.bench.step_recorder import StepRecorder
from actorllama.engine import STEP_PARTS, StepPart

STEP: Sequence[StepPart] = ("plan", "decode", "turns", "choose", "turns", "post", "between")


class Clocks:
    """What the next readings say."""

    def __init__(self, wall: Iterator[int], cpu: Iterator[int], delay: Iterator[int]) -> None:
        self.recorder = StepRecorder(
            clock_ns=lambda: next(wall), cpu_clock_ns=lambda: next(cpu), delay_ns=lambda: next(delay)
        )


def test_the_parts_of_a_step_add_up_to_it_without_what_the_readings_took() -> None:
    decode = [10, 12, 112, 115]  # the mark, its readings; the next mark, its readings
    marks = [0, *decode, 118, 128, 130, 134, 141]  # the last one begins the next step
    recorder = Clocks(iter(marks), iter([0, 70]), iter([0, 20])).recorder
    again: Sequence[StepPart] = (*STEP, "plan")
    for part in again:
        recorder(part)
    (step,) = recorder.take()
    wanted = {"plan": 10, "decode": 100, "turns": 3 + 2, "choose": 10, "post": 4, "between": 7}
    assert step.parts == wanted
    assert list(step.parts) == list(STEP_PARTS)
    assert sum(step.parts.values()) == marks[-1] - (12 - 10) - (115 - 112)
    assert step.handover == 100 - 70 - 20


def test_each_plan_begins_a_step_and_a_part_that_has_not_ended_is_left_out() -> None:
    recorder = Clocks(iter(range(0, 1000, 10)), iter([0] * 9), iter([0] * 9)).recorder
    again: Sequence[StepPart] = (*STEP, *STEP, "plan", "decode")
    for part in again:
        recorder(part)
    assert [sum(step.parts.values()) for step in recorder.take()] == [70, 70, 10]
    assert recorder.take() == []


def test_a_processor_that_seems_to_have_run_longer_than_time_passed_waited_for_nothing() -> None:
    recorder = Clocks(iter([0, 0, 5, 5, 10]), iter([0, 8]), iter([0, 0])).recorder
    step: Sequence[StepPart] = ("decode", "turns", "plan")
    for part in step:
        recorder(part)
    assert recorder.take()[0].handover == 0


def test_without_clocks_it_reads_those_of_the_thread_that_calls() -> None:
    recorder = StepRecorder()
    for part in (*STEP, *STEP):
        recorder(part)
    first = recorder.take()[0]
    assert all(first.parts[part] > 0 for part in STEP)
    assert 0 <= first.handover <= first.parts["decode"]
    recorder.close()
    recorder.close()
