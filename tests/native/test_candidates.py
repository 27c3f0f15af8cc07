"""Which tokens the filters get to see depends on the row alone."""

from __future__ import annotations

import numpy as np
import pytest

from actorllama.errors import StateError
from actorllama.native import SamplingParams
from actorllama.native.llama.sampler import LlamaSampler
from actorllama.native.llama.sampler_candidates import Candidates
from actorllama.native.llama.sampler_tools import SamplerTools
from actorllama.native.sampler_pickers import draw

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


@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("n", [1, 2, 7, 40, 2000])
def test_a_draw_is_the_inverse_of_the_cumulative_distribution_bit_by_bit(*, n: int, is_sorted: bool) -> None:
    candidates, generator = Candidates(), np.random.default_rng(n)
    for scale in (0.01, 3.0, 200.0):
        row = (generator.normal(size=N_VOCAB) * scale).astype(np.float32)
        candidates.fill(row, np.sort(generator.choice(N_VOCAB, n, replace=False)))
        if is_sorted:
            candidates.keep(np.argsort(-candidates.logits, kind="stable"))
            candidates.array.sorted = True
        for u in (0.0, *generator.random(50).tolist(), 1.0 - 2.0**-53):
            wanted = draw(candidates.logits.astype(np.float64), u)
            assert candidates.drawn(u) == candidates.ids[wanted]


def test_choices_of_most_requests_take_the_short_way_to_the_same_token() -> None:
    """A bias of nothing takes the long way, and changes no logit."""
    tools = SamplerTools(n_vocab=N_VOCAB)
    for seed, top_k in enumerate((1, 5, 24, 31)):
        short = LlamaSampler(SamplingParams(seed=seed, top_k=top_k), (), tools=tools)
        long = LlamaSampler(SamplingParams(seed=seed, top_k=top_k, logit_bias={3: 0.0}), (), tools=tools)
        for number in range(10):
            for row in rows(number):
                assert short.choose(row) == long.choose(row)
        assert short.n_draws == long.n_draws == 60
        assert short.record().n_draws == 60
        short.close()
        long.close()
        with pytest.raises(StateError, match="closed"):
            short.choose(rows(0)[0])
