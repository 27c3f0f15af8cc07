"""Percentiles and times between tokens."""

from __future__ import annotations

from actorllama.bench.peers.contestant import Taken
from actorllama.bench.peers.figures import percentiles, token_gaps_s


def test_tokens_that_came_together_are_no_time_apart() -> None:
    taken = Taken(asked_s=0.0, arrivals=((1.0, 1), (3.0, 2)), reply=(1, 2, 3), n_prompt=1, n_computed=1)
    assert token_gaps_s(taken) == [2.0, 0.0]


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles([]) is None
    assert percentiles([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0}
    assert percentiles([float(value) for value in range(1, 101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
