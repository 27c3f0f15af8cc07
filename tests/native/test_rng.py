"""The generator: pinned numbers, even, and without memory."""

import numpy as np
import pytest

from actorllama.native.rng import RngState, uniform, uniform_at, uniform_key, uniforms_at


def test_the_numbers_are_the_same_for_ever() -> None:
    """A saved turn goes on with these; to change them is to break every snapshot."""
    assert [uniform(0, i) for i in range(2)] == PINNED[0]
    assert [uniform(2**64 - 1, 10**9), uniform(7, 3, 1)] == PINNED[1]
    assert [uniform_at(uniform_key(2**64 - 1), 10**9), uniform_at(uniform_key(7, 1), 3)] == PINNED[1]


PINNED = [[0.8833108082136426, 0.43152799704850997], [0.15495121011739077, 0.4290430672277533]]


def test_many_at_once_are_the_same_numbers() -> None:
    keys = [uniform_key(seed) for seed in (0, 7, 2**64 - 1)]
    firsts = [0, 5, 10**9]
    drawn = uniforms_at(np.array(keys, dtype=np.uint64), np.array(firsts, dtype=np.uint64), 40)
    assert drawn.tolist() == [
        [uniform_at(key, first + i) for key, first in zip(keys, firsts, strict=True)] for i in range(40)
    ]


def test_numbers_lie_in_the_unit_interval_and_are_even() -> None:
    drawn = np.array([uniform(1, i) for i in range(20_000)])
    assert drawn.min() >= 0.0
    assert drawn.max() < 1.0
    counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
    assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi-square, 19 degrees of freedom


@pytest.mark.parametrize("other", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_neighbouring_seeds_indices_and_streams_are_unrelated(other: tuple[int, int, int]) -> None:
    seed, index, stream = other
    ours = np.array([uniform(5, i) for i in range(2000)])
    theirs = np.array([uniform(5 + seed, i + index, stream) for i in range(2000)])
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.08


def test_a_state_names_the_next_number() -> None:
    assert RngState(seed=3).n_draws == 0
