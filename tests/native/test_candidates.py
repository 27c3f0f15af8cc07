"""Which tokens the filters get to see depends on the row alone."""

from __future__ import annotations

import numpy as np
import pytest

from actorllama.native.llama.sampler_candidates import Candidates

N_VOCAB = 4096


Row = np.ndarray[tuple[int], np.dtype[np.float32]]


def rows(seed: int) -> list[Row]:
    generator = np.random.default_rng(seed)
    scales = (0.1, 5.0, 1.0, 300.0, 1e-3, 2.0)
    return [(generator.normal(size=N_VOCAB) * scale).astype(np.float32) for scale in scales]


@pytest.mark.parametrize("k", [1, 2, 20, 31])
def test_the_best_are_exactly_those_that_reach_the_kth_value_whatever_row_came_before(k: int) -> None:
    candidates = Candidates()
    for seed in range(20):
        for row in rows(seed):
            candidates.fill_best(row, k)
            kth = np.sort(row)[-k]
            assert set(candidates.ids.tolist()) == set((row >= kth).nonzero()[0].tolist())


def test_ties_with_the_kth_are_all_taken() -> None:
    row = np.zeros(N_VOCAB, dtype=np.float32)
    row[[5, 9, 70]] = 2.0
    candidates = Candidates()
    candidates.fill_best(row, 2)
    assert candidates.ids.tolist() == [5, 9, 70]


def test_a_row_with_too_few_allowed_tokens_gives_those() -> None:
    row = np.full(N_VOCAB, -np.inf, dtype=np.float32)
    row[[3, 8]] = 1.0
    candidates = Candidates()
    candidates.fill_best(row, 5)
    assert candidates.ids.tolist() == [3, 8]


def test_nan_has_no_place_among_the_best() -> None:
    row = rows(1)[1].copy()
    row[7] = np.nan
    candidates = Candidates()
    candidates.fill_best(row, 4)
    kept = candidates.ids.tolist()
    assert 7 not in kept
    assert {int(i) for i in np.argsort(np.nan_to_num(row, nan=-np.inf))[-4:]} <= set(kept)
