"""What counts as decoding: the steps that all turns are in."""

from __future__ import annotations

import pytest

from actorllama.bench.decode_turns import StepClock, TakenTurn, steady_rate
from actorllama.errors import EngineError


def turn(began_s: float, ended_s: float) -> TakenTurn:
    return TakenTurn(began_s=began_s, ended_s=ended_s, n_generated=10)


def test_only_steps_with_all_turns_count() -> None:
    """Two turns; slow steps while the second begins, quick ones when the first has ended."""
    turns = [turn(1.0, 10.0), turn(4.5, 12.0)]
    steps = [1.0, 3.0, 4.6, 5.0, 6.0, 7.0, 8.0, 9.9, 10.1, 10.2, 10.3]
    assert steady_rate(turns, steps) == pytest.approx(2 * 3 / (8.0 - 5.0))


@pytest.mark.parametrize("steps", [[], [5.0], [5.0, 6.0, 7.0], [0.0, 1.0, 2.0, 12.0]])
def test_turns_that_were_hardly_ever_all_there_are_no_measurement(steps: list[float]) -> None:
    with pytest.raises(EngineError, match="more tokens"):
        steady_rate([turn(1.0, 10.0), turn(4.5, 12.0)], steps)


def test_a_step_clock_notes_the_calls_of_llama_decode_once() -> None:
    clock = StepClock()
    for part in ("plan", "decode", "turns", "choose", "post", "between", "plan", "decode"):
        clock(part)
    first, second = clock.take()
    assert first <= second
    assert list(clock.take()) == []
