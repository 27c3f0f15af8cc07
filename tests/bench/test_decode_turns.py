"""What counts as decoding: the steps that all turns are in."""

from __future__ import annotations

import pytest

from actorllama.bench.decode_turns import StepClock, TakenTurn, steady_rate, whole_rate
from actorllama.errors import EngineError


def turn(began_s: float, ended_s: float) -> TakenTurn:
    return TakenTurn(began_s=began_s, ended_s=ended_s, n_generated=10)


def test_only_steps_with_all_turns_count() -> None:
    """Two turns; slow steps while the second begins, quick ones when the first has ended."""
    turns = [turn(1.0, 10.0), turn(4.5, 12.0)]
    steps = [1.0, 3.0, 4.6, 5.0, 6.0, 7.0, 8.0, 9.9, 10.1, 10.2, 10.3]
    assert steady_rate(turns, steps) == pytest.approx(2 * 3 / (8.0 - 5.0))


@pytest.mark.parametrize("steps", [[], [5.0], [5.0, 6.0, 7.0], [0.0, 1.0, 2.0, 12.0]])
def test_turns_that_were_hardly_ever_all_there_have_no_steady_rate(steps: list[float]) -> None:
    assert steady_rate([turn(1.0, 10.0), turn(4.5, 12.0)], steps) is None


def test_the_whole_rate_counts_beginnings_and_ends() -> None:
    assert whole_rate([turn(1.0, 10.0), turn(4.5, 13.0)]) == pytest.approx(2 * 9 / 12.0)


def test_turns_of_one_token_are_no_measurement() -> None:
    with pytest.raises(EngineError, match="another model"):
        whole_rate([TakenTurn(began_s=1.0, ended_s=2.0, n_generated=1)])


def test_a_step_clock_notes_the_calls_of_llama_decode_once() -> None:
    clock = StepClock()
    for part in ("plan", "decode", "turns", "choose", "post", "between", "plan", "decode"):
        clock(part)
    first, second = clock.take()
    assert first <= second
    assert list(clock.take()) == []
