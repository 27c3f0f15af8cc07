"""What the next step computes: single rows and prompts in turns, the prompts fairly."""

from __future__ import annotations

import pytest

from actorllama.engine.plan import (
    Chunk,
    PrefillView,
    StepPlan,
    StepRules,
    plan_bridges,
    plan_step,
    room_after,
    split_plan,
)


def plan(
    single: list[int],
    left: list[int],
    *,
    n_batch: int = 16,
    n_ubatch: int = 512,
    n_mixed: int = 16,
    mixes: bool = False,
    is_chunks_turn: bool = True,
) -> StepPlan:
    """Plan for these single rows and for prompts with so many tokens left, numbered from 100 by twos."""
    views = [PrefillView(100 + 2 * index, n_left) for index, n_left in enumerate(left)]
    rules = StepRules(n_batch=n_batch, n_ubatch=n_ubatch, n_mixed=n_mixed, mixes=mixes, n_together=32)
    return plan_step(single, views, rules, n_room=rules.n_waited if is_chunks_turn else 0)


def neighbours(*lengths: int, n_ubatch: int = 512) -> list[int]:
    """Plan prompts of such lengths in sequences 0, 1, 2 and so on; return the order of their rows."""
    rules = StepRules(n_batch=1000, n_ubatch=n_ubatch, n_mixed=1000, mixes=False, n_together=32)
    views = [PrefillView(seq_id, n_left) for seq_id, n_left in enumerate(lengths)]
    return [chunk.seq_id for chunk in plan_step((), views, rules, n_room=1000).prefill]


def test_without_work_the_plan_is_empty() -> None:
    assert plan([], []).n_tokens == 0


@pytest.mark.parametrize("is_chunks_turn", [False, True])
def test_rows_alone_or_prompts_alone_wait_for_no_turn(is_chunks_turn: bool) -> None:
    assert plan([1, 2, 3], [], is_chunks_turn=is_chunks_turn) == StepPlan([1, 2, 3], ())
    assert plan([], [7], is_chunks_turn=is_chunks_turn) == StepPlan((), (Chunk(100, 7),))


def test_rows_and_prompts_take_turns() -> None:
    assert plan([1, 2, 3], [100], is_chunks_turn=False) == StepPlan([1, 2, 3], ())
    assert plan([1, 2, 3], [100], is_chunks_turn=True) == StepPlan((), (Chunk(100, 16),))


def test_where_streams_are_shared_every_row_comes_before_any_prompt() -> None:
    planned = plan([1, 2, 3], [100], n_batch=8, mixes=True)

    assert planned == StepPlan([1, 2, 3], (Chunk(100, 5),))
    assert planned.n_tokens == 8


def test_a_lone_prompt_fills_the_batch() -> None:
    assert plan([], [100]).prefill == (Chunk(100, 16),)


def test_a_chunk_fits_into_one_micro_batch() -> None:
    """llama.cpp would cut 17 tokens into 16 and one."""
    assert plan([], [100], n_batch=17, n_ubatch=16).prefill == (Chunk(100, 16),)


def test_two_long_prompts_share_the_batch_equally() -> None:
    assert sorted(plan([], [100, 100]).prefill) == [(100, 8), (102, 8)]


def test_what_a_short_prompt_does_not_need_goes_to_the_long_one() -> None:
    assert sorted(plan([], [100, 3]).prefill) == [(100, 13), (102, 3)]


def test_prompt_tokens_are_fewer_while_others_decode() -> None:
    assert plan([1], [100], n_batch=64, n_mixed=8).n_tokens == 8
    assert plan([], [100], n_batch=64, n_mixed=8).n_tokens == 64


@pytest.mark.parametrize(("n_left", "n_first"), [(17, 15), (18, 16), (16, 16)])
def test_no_chunk_leaves_one_token_of_a_prompt_over(n_left: int, n_first: int) -> None:
    """A single row takes another path through llama.cpp's kernels and would break ``exact``."""
    assert plan([], [n_left]).prefill == (Chunk(100, n_first),)


def test_no_chunk_is_one_token_of_a_longer_prompt() -> None:
    planned = plan([], [9] * 12, n_batch=16)

    assert all(chunk.n_tokens >= 2 for chunk in planned.prefill)
    assert planned.n_tokens <= 16


def test_the_least_options_let_a_prompt_of_three_go_on_beside_decoders() -> None:
    """With room for two, three tokens could be cut neither in two nor in one: the prompt would starve."""
    assert plan([1], [3], n_batch=4, n_mixed=2, mixes=True).prefill == (Chunk(100, 3),)


def test_when_room_is_scarce_the_oldest_prompt_is_served_first() -> None:
    """Shortest first would let a stream of short prompts starve a long one for ever."""
    assert 100 in {chunk.seq_id for chunk in plan([1], [50, 4, 4, 4], n_mixed=4).prefill}


def test_neighbours_of_equal_length_are_computed_together() -> None:
    assert neighbours(5, 5, 5) == [0, 1, 2]


def test_neighbours_of_other_length_are_computed_apart() -> None:
    """Together, llama.cpp would compute five of each, and then the sixth token of one alone."""
    assert neighbours(5, 6) == [1, 0]
    assert neighbours(5, 5, 6, 6, 5) == [4, 2, 3, 0, 1]


def test_what_does_not_fit_into_one_micro_batch_is_computed_apart() -> None:
    assert neighbours(5, 5, 5, n_ubatch=10) == [2, 0, 1]


@pytest.mark.parametrize(
    ("single", "full", "bridges"),
    [
        ([0, 1], [], ()),
        ([1], [], (2,)),
        ([3], [], (2,)),
        ([0, 2], [], (1,)),
        ([0, 1, 3], [], (2,)),
        ([1], [2], (0,)),
        ([1], [0, 2], ()),
    ],
)
def test_a_row_that_would_be_alone_gets_one_from_a_neighbour(
    single: list[int], full: list[int], bridges: tuple[int, ...]
) -> None:
    assert plan_bridges(single, n_seq=4, full=full) == bridges


def test_one_sequence_has_no_neighbours() -> None:
    assert plan_bridges([0], n_seq=1, full=()) == ()


def calls(left: list[int], *, n_together: int = 32, n_batch: int = 1000) -> list[list[tuple[int, int]]]:
    """Split the plan for such prompts, in sequences 0, 2, 4, oldest first; say what each call computes."""
    rules = StepRules(n_batch=n_batch, n_ubatch=512, n_mixed=1000, mixes=False, n_together=n_together)
    views = [PrefillView(2 * index, n_left) for index, n_left in enumerate(left)]
    plan = plan_step((), views, rules, n_room=1000)
    return [
        [(chunk.seq_id, chunk.n_tokens) for chunk in part.prefill] for part in split_plan(plan, views, rules)
    ]


def test_each_prompt_has_a_call_of_its_own_the_shortest_first_then_the_oldest() -> None:
    assert calls([50, 40, 40]) == [[(2, 40)], [(4, 40)], [(0, 50)]]


def test_prompts_that_do_not_fill_a_call_share_one() -> None:
    assert calls([10, 12, 14, 16]) == [[(4, 14), (2, 12), (0, 10)], [(6, 16)]]
    assert calls([10, 12, 14, 16], n_together=1000) == [[(6, 16), (4, 14), (2, 12), (0, 10)]]


def test_a_prompt_that_does_not_end_comes_last_however_old() -> None:
    assert calls([900, 40], n_batch=200) == [[(2, 40)], [(0, 160)]]


def test_single_rows_go_with_the_first_call() -> None:
    rules = StepRules(n_batch=200, n_ubatch=512, n_mixed=200, mixes=True, n_together=32)
    views = [PrefillView(0, 40), PrefillView(2, 40)]
    plan = plan_step([7], views, rules, n_room=1000)
    assert split_plan(plan, views, rules) == (
        StepPlan([7], (Chunk(0, 40),)),
        StepPlan((), (Chunk(2, 40),)),
    )


def test_a_plan_without_prompts_is_one_call() -> None:
    assert split_plan(
        StepPlan([1, 2], ()), (), StepRules(n_batch=9, n_ubatch=9, n_mixed=9, mixes=False, n_together=1)
    ) == (StepPlan([1, 2], ()),)


def test_rows_wait_for_no_more_prompt_tokens_than_that_however_many_prompts_come() -> None:
    rules = StepRules(n_batch=500, n_ubatch=512, n_mixed=100, mixes=False, n_together=32)
    n_room = room_after(StepPlan([1], ()), [1], rules, n_room=0)
    assert n_room == 100
    n_room = room_after(StepPlan((), (Chunk(2, 60),)), [1], rules, n_room=n_room)
    assert n_room == 40
    assert plan_step([1], [PrefillView(4, 60)], rules, n_room=n_room) == StepPlan((), (Chunk(4, 40),))
    n_room = room_after(StepPlan((), (Chunk(4, 38),)), [1], rules, n_room=n_room)
    assert n_room == 0, "two tokens are too little for a prompt"
    assert plan_step([1], [PrefillView(4, 20)], rules, n_room=n_room) == StepPlan([1], ())


def test_prompt_tokens_that_nobody_waits_for_do_not_count() -> None:
    rules = StepRules(n_batch=500, n_ubatch=512, n_mixed=100, mixes=False, n_together=32)
    assert room_after(StepPlan((), (Chunk(2, 90),)), (), rules, n_room=5) == 100
