"""What the next step computes: decoders first, then the prompts, fairly."""

from __future__ import annotations

import pytest

from actorllama.engine.plan import Chunk, PrefillView, StepPlan, plan_step


def plan(decoding: list[int], left: list[int], *, n_batch: int = 16, n_mixed: int = 16) -> StepPlan:
    """Plan for these decoders and for prompts with so many tokens left, numbered from 100."""
    views = [PrefillView(100 + index, n_left) for index, n_left in enumerate(left)]
    return plan_step(decoding, views, n_batch=n_batch, n_mixed=n_mixed)


def test_without_work_the_plan_is_empty() -> None:
    assert plan([], []).n_tokens == 0


def test_every_decoder_gets_its_row_before_any_prompt() -> None:
    planned = plan([1, 2, 3], [100], n_batch=8)

    assert list(planned.decode) == [1, 2, 3]
    assert planned.prefill == (Chunk(100, 5),)
    assert planned.n_tokens == 8


def test_a_lone_prompt_fills_the_batch() -> None:
    assert plan([], [100]).prefill == (Chunk(100, 16),)


def test_a_prompt_that_fits_is_computed_whole() -> None:
    assert plan([], [7]).prefill == (Chunk(100, 7),)


def test_two_long_prompts_share_the_batch_equally() -> None:
    assert plan([], [100, 100]).prefill == (Chunk(100, 8), Chunk(101, 8))


def test_what_a_short_prompt_does_not_need_goes_to_the_long_one() -> None:
    assert plan([], [100, 3]).prefill == (Chunk(101, 3), Chunk(100, 13))


def test_prompt_tokens_are_fewer_while_others_decode() -> None:
    assert plan([1], [100], n_batch=64, n_mixed=8).n_tokens == 9
    assert plan([], [100], n_batch=64, n_mixed=8).n_tokens == 64


@pytest.mark.parametrize(("n_left", "n_first"), [(17, 15), (18, 16), (16, 16)])
def test_no_chunk_leaves_one_token_of_a_prompt_over(n_left: int, n_first: int) -> None:
    """A lone row takes another path through llama.cpp's kernels and would break ``exact``."""
    assert plan([], [n_left]).prefill == (Chunk(100, n_first),)


def test_no_chunk_is_one_token_of_a_longer_prompt() -> None:
    planned = plan([], [9] * 12, n_batch=16)

    assert all(chunk.n_tokens >= 2 for chunk in planned.prefill)
    assert planned.n_tokens <= 16


def test_a_prompt_of_one_token_is_a_chunk_of_one() -> None:
    assert plan([1, 2], [1]).prefill == (Chunk(100, 1),)


def test_the_least_options_let_a_prompt_of_three_go_on_beside_decoders() -> None:
    """With room for two, three tokens could be cut neither in two nor in one: the prompt would starve."""
    assert plan([1], [3], n_batch=4, n_mixed=2).prefill == (Chunk(100, 3),)


def test_when_room_is_scarce_the_oldest_prompt_is_served_first() -> None:
    """Shortest first would let a stream of short prompts starve a long one for ever."""
    assert plan([1], [50, 4, 4, 4], n_batch=16, n_mixed=4).prefill[0].seq_id == 100
