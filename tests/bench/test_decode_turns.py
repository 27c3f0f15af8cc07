"""What counts as decoding where turns are too short for all to be there at once."""

from __future__ import annotations

import pytest

from actorllama.bench.decode_turns import TakenTurn, whole_rate
from actorllama.errors import EngineError


def turn(began_s: float, ended_s: float) -> TakenTurn:
    return TakenTurn(began_s=began_s, ended_s=ended_s, n_generated=10)


def test_the_whole_rate_counts_beginnings_and_ends() -> None:
    assert whole_rate([turn(1.0, 10.0), turn(4.5, 13.0)]) == pytest.approx(2 * 9 / 12.0)


def test_turns_of_one_token_are_no_measurement() -> None:
    with pytest.raises(EngineError, match="another model"):
        whole_rate([TakenTurn(began_s=1.0, ended_s=2.0, n_generated=1)])
