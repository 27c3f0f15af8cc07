"""Choosing for a whole step at once gives what choosing one by one gives."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from actorllama.errors import StateError
from actorllama.native import SamplingParams
from actorllama.native.llama.crowd_choice import CrowdChooser
from actorllama.native.llama.sampler import LlamaSampler
from actorllama.native.llama.sampler_tools import SamplerTools

Rows = np.ndarray[tuple[int, int], np.dtype[np.float32]]

ASKED = (
    SamplingParams(seed=1),
    SamplingParams(seed=2, top_k=1),
    SamplingParams(seed=3, top_k=200, temperature=1.7),
    SamplingParams(seed=4, top_k=5, top_p=0.5, min_p=0.0),
    SamplingParams(seed=5, top_p=1.0, min_p=0.3, min_keep=7),
    SamplingParams(seed=6, temperature=1e-6),
    SamplingParams(seed=7, samplers=("top_k", "temperature", "top_p"), top_p=0.9, temperature=3.0),
)


def matrix(n: int, *, n_vocab: int, seed: int) -> Rows:
    generator = np.random.default_rng(seed)
    scales = np.resize((5.0, 0.1, 1.0, 300.0, 1e-3), (n, 1))
    rows: Rows = (generator.normal(size=(n, n_vocab)) * scales - 2.0).astype(np.float32)
    return rows


def members(tools: SamplerTools, *, bias: dict[int, float] | None = None) -> list[LlamaSampler]:
    """Samplers of every kind that a crowd takes; a bias of nothing lets them choose alone."""
    return [LlamaSampler(attrs.evolve(params, logit_bias=bias), (), tools=tools) for params in ASKED]


@pytest.mark.parametrize("n_vocab", [513, 4096, 32000])
def test_a_crowd_gets_the_tokens_that_each_would_choose_alone(n_vocab: int) -> None:
    tools = SamplerTools(n_vocab=n_vocab)
    crowd, alone = members(tools), members(tools, bias={3: 0.0})
    assert all(member.crowd_k for member in crowd)
    assert not any(member.crowd_k for member in alone)
    for seed in range(30):
        rows = matrix(len(crowd), n_vocab=n_vocab, seed=seed)
        chosen = tools.crowd.choose(rows, crowd)
        assert chosen == [one.choose(row.copy()) for one, row in zip(alone, rows, strict=True)]
    assert [one.n_draws for one in crowd] == [one.n_draws for one in alone] == [30] * len(ASKED)


def test_numbers_that_are_drawn_ahead_are_those_of_each_ones_count() -> None:
    """More steps than are drawn ahead, and a member that draws elsewhere in between."""
    tools = SamplerTools(n_vocab=4096)
    crowd, alone = members(tools), members(tools, bias={3: 0.0})
    for step in range(80):
        rows = matrix(len(crowd), n_vocab=4096, seed=step)
        if step % 7 == 0:
            crowd[2].n_draws += 1
            alone[2].n_draws += 1
        chosen = tools.crowd.choose(rows, crowd)
        assert chosen == [one.choose(row.copy()) for one, row in zip(alone, rows, strict=True)]


def test_many_rows_of_a_small_vocabulary_are_chosen_for_in_parts() -> None:
    tools = SamplerTools(n_vocab=600)
    rows = matrix(300, n_vocab=600, seed=4)
    crowd = [LlamaSampler(SamplingParams(seed=seed), (), tools=tools) for seed in range(300)]
    again = [LlamaSampler(SamplingParams(seed=seed), (), tools=tools) for seed in range(300)]
    assert tools.crowd.choose(rows, crowd) == [one.choose(row) for one, row in zip(again, rows, strict=True)]


def test_of_equal_tokens_the_first_ids_are_kept_and_drawn_from_in_order() -> None:
    tools = SamplerTools(n_vocab=4096)
    row = np.full((1, 4096), -3.0, dtype=np.float32)
    row[0, [9, 70, 800, 5]] = (2.0, 2.0, 2.0, 1.0)
    chosen: set[int] = set()
    for seed in range(60):
        two = LlamaSampler(SamplingParams(seed=seed, top_k=2, samplers=("top_k",)), (), tools=tools)
        chosen.add(two.choose(row[0]))
    assert chosen == {9, 70}


def test_a_row_without_enough_tokens_disturbs_no_other() -> None:
    tools = SamplerTools(n_vocab=4096)
    rows = matrix(3, n_vocab=4096, seed=1)
    rows[1] = -np.inf
    rows[1, [7, 8]] = 1.0
    crowd = [LlamaSampler(SamplingParams(seed=seed), (), tools=tools) for seed in range(3)]
    again = [LlamaSampler(SamplingParams(seed=seed), (), tools=tools) for seed in range(3)]
    for _ in range(20):
        chosen = tools.crowd.choose(rows, crowd)
        assert chosen[1] in {7, 8}
        assert chosen == [one.choose(row) for one, row in zip(again, rows, strict=True)]


@pytest.mark.parametrize("n_vocab", [513, 4096])
def test_nan_is_never_chosen(n_vocab: int) -> None:
    tools = SamplerTools(n_vocab=n_vocab)
    one = LlamaSampler(SamplingParams(top_k=5, temperature=50.0), (), tools=tools)
    for seed in range(20):
        row = matrix(1, n_vocab=n_vocab, seed=seed)[0]
        row[np.argsort(row)[-10:]] = np.nan
        assert not np.isnan(row[one.choose(row)])


def test_a_crowd_larger_than_its_memory_goes_in_parts() -> None:
    tools = SamplerTools(n_vocab=400_000)
    rows = matrix(8, n_vocab=400_000, seed=5)
    crowd = [LlamaSampler(SamplingParams(seed=seed), (), tools=tools) for seed in range(8)]
    again = [LlamaSampler(SamplingParams(seed=seed), (), tools=tools) for seed in range(8)]
    chosen = CrowdChooser(n_vocab=400_000).choose(rows, crowd)
    assert chosen == [one.choose(row) for one, row in zip(again, rows, strict=True)]


def test_what_has_a_memory_or_keeps_too_many_chooses_alone() -> None:
    tools = SamplerTools(n_vocab=4096)
    for params in (
        SamplingParams(top_k=0),
        SamplingParams(top_k=513),
        SamplingParams(temperature=0.0),
        SamplingParams(mirostat=2),
        SamplingParams(repeat_penalty=1.1),
        SamplingParams(typical_p=0.5),
        SamplingParams(top_n_sigma=1.0),
        SamplingParams(dynatemp_range=0.2),
        SamplingParams(samplers=("top_p", "top_k")),
        SamplingParams(adaptive_target=0.3),
        SamplingParams(xtc_probability=0.5),
    ):
        assert LlamaSampler(params, (), tools=tools).crowd_k == 0


def test_a_closed_sampler_chooses_no_more() -> None:
    tools = SamplerTools(n_vocab=4096)
    one = LlamaSampler(SamplingParams(), (), tools=tools)
    one.close()
    with pytest.raises(StateError, match="closed"):
        one.choose(matrix(1, n_vocab=4096, seed=0)[0])
