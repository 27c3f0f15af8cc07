"""The generator whose whole state is two integers."""

from __future__ import annotations

from itertools import pairwise

from actorllama.native.rng import RngState, uniform


def test_draws_are_the_same_everywhere_and_for_ever() -> None:
    """Saved turns go on with these numbers: a change here breaks every snapshot there is."""
    assert [uniform(0, index) for index in range(3)] == [
        0.8833108082136426,
        0.43152799704850997,
        0.026433771592597743,
    ]
    assert uniform(2**64 - 1, 0) == uniform(-1 % 2**64, 0)


def test_draws_lie_in_the_half_open_interval() -> None:
    draws = [uniform(seed, index) for seed in range(20) for index in range(200)]
    assert min(draws) >= 0.0
    assert max(draws) < 1.0


def test_draws_are_evenly_spread() -> None:
    counts = [0] * 10
    for index in range(20_000):
        counts[int(uniform(7, index) * 10)] += 1
    assert all(1800 < count < 2200 for count in counts)


def test_neighbouring_seeds_are_unrelated() -> None:
    """The mean of products of centred draws: near zero unless the two follow each other."""
    for seed, following in pairwise(range(6)):
        products = [(uniform(seed, i) - 0.5) * (uniform(following, i) - 0.5) for i in range(4000)]
        assert abs(sum(products) / len(products)) < 0.01


def test_one_seed_is_not_another_shifted() -> None:
    first = [uniform(1, index) for index in range(500)]
    assert not {uniform(2, index) for index in range(500)} & set(first)


def test_streams_of_one_seed_are_different() -> None:
    assert uniform(5, 0) == uniform(5, 0, stream=0) != uniform(5, 0, stream=1)


def test_the_state_is_the_seed_and_the_number_of_draws() -> None:
    assert RngState(seed=3) == RngState(seed=3, n_draws=0)
