"""Sequences are leased by what they hold, and what is worth saving is said."""

from __future__ import annotations

import pytest

from tests.engine.desk_rig import N_BLOCK, open_desk

TOKENS = tuple(range(20, 60))


@pytest.mark.parametrize(
    ("n_cells", "awaited", "planned"),
    [
        (40, set[int](), 40),
        (40, {40}, 40),
        (40, {38}, 38),
        (40, {37, 38, 41}, 38),
        (40, {36}, 40),  # as many less as make a reuse: a copy of its own
        (40, {41}, 39),  # two copies one token apart would leave a single row
        (40, {42}, 40),
    ],
)
def test_a_follower_takes_the_copy_that_others_wait_for_if_it_is_nearly_as_good(
    n_cells: int, awaited: set[int], planned: int
) -> None:
    with open_desk() as rig:
        assert rig.cells.plan_copy(n_cells, n_had=0, awaited=awaited) == planned


def test_a_copy_that_adds_too_little_is_not_taken() -> None:
    with open_desk() as rig:
        assert rig.cells.plan_copy(40, n_had=35, awaited={38}) == 40


@pytest.mark.parametrize("n_prompt", [3, 5, 7, 8, 11])
def test_a_turn_is_saved_once_it_has_a_block_more_than_was_there(n_prompt: int) -> None:
    with open_desk(has_cache=False) as rig:
        rig.take(TOKENS[:n_prompt], max_tokens=1)
        rig.run()
        assert [message.tokens for message in rig.kept] == (
            [TOKENS[:n_prompt]] if n_prompt >= N_BLOCK else []
        )
        rig.kept.clear()
        rig.take(TOKENS[: n_prompt + 2], max_tokens=1)
        rig.run()
        n_had = n_prompt
        is_more = (n_prompt + 2) // N_BLOCK > n_had // N_BLOCK
        assert len(rig.kept) == is_more


def test_a_context_whose_states_cannot_be_restored_saves_none() -> None:
    with open_desk(exactness="recomputed") as rig:
        rig.take(TOKENS)
        rig.run()
        assert rig.kept == []
        kept = rig.take(TOKENS, keep=True)
        rig.run()
        assert kept.got.resume_key is not None  # it can be computed again
        assert rig.kept[0].kv is None


def test_idle_sequences_say_how_much_they_hold() -> None:
    with open_desk(has_cache=False) as rig:
        rig.take(TOKENS, max_tokens=3)
        assert rig.cells.n_live_cells == 0
        rig.run()
        assert rig.cells.n_live_cells == len(TOKENS) + 2


def test_the_time_of_a_token_is_known_once_enough_were_computed() -> None:
    with open_desk(has_cache=False, ctx_per_seq=256) as rig:
        rig.take(TOKENS)
        rig.run()
        assert rig.cells.token_s is None
        rig.take(TOKENS[::-1])
        rig.run()
        assert rig.cells.token_s is not None
        assert 0 < rig.cells.token_s < 1
