"""Turns find their first cells, follow each other, wait in order and never for ever."""

from __future__ import annotations

import pytest

from actorllama.engine.commands import StartTurn
from actorllama.errors import Busy, ModelUnavailable, TurnCancelled
from actorllama.ids import TurnId
from tests.engine.desk_rig import Asker, open_desk

SHARED = tuple(range(20, 60))
LONG = tuple(range(10, 90))


def told(asker: Asker) -> tuple[int, str | None, str]:
    """Say what was reused, from where, and what is promised."""
    return asker.got.usage.n_cached, asker.got.usage.source, asker.got.exactness


# -- the nearest tier ------------------------------------------------------------------------


def test_who_comes_back_finds_its_cells_though_others_ran_meanwhile() -> None:
    with open_desk(n_seq=3, has_cache=False) as rig:
        first = rig.take(SHARED)
        rig.run()
        others = [rig.take([token] * 9) for token in (100, 101)]
        rig.run()
        said = (*SHARED, *first.got.tokens)
        again = rig.take((*said, 3, 4), past=first.got.lineage[:-1])
        rig.run()

        assert told(again) == (len(said) - 1, "live", "exact")
        rig.check(first, *others, again)


def test_a_prompt_that_only_begins_alike_takes_cells_back() -> None:
    with open_desk(has_cache=False) as rig:
        first = rig.take(SHARED, max_tokens=5)
        rig.run()
        other = rig.take((*SHARED[:-3], 7, 8, 9))
        rig.run()
        assert told(other) == (len(SHARED) - 3, "live", "exact")
        rig.check(first, other)


def test_rows_of_a_reply_are_not_those_of_a_prompt_that_holds_it() -> None:
    with open_desk(has_cache=False) as rig:
        first = rig.take(SHARED, max_tokens=5)
        rig.run()
        other = rig.take((*SHARED, *first.got.tokens[:-1], 7, 8))
        rig.run()
        assert told(other) == (len(SHARED), "live", "exact")
        rig.check(other)


def test_a_memory_that_cannot_be_cut_uses_all_of_a_sequence_or_nothing() -> None:
    with open_desk(has_cache=False, needs_boundary=True) as rig:
        first = rig.take(SHARED, max_tokens=3)
        rig.run()
        alike = rig.take((*SHARED, 7, 8))
        rig.run()
        assert told(alike) == (0, None, "exact")
        whole = rig.take((*SHARED, *first.got.tokens, 7, 8))
        rig.run()
        assert told(whole) == (0, None, "exact")
        again = rig.take(
            (*SHARED, *first.got.tokens, 7, 8, *whole.got.tokens, 5), past=whole.got.lineage[:-1]
        )
        rig.run()
        assert told(again) == (len(SHARED) + 3 + 2 + 1, "live", "exact")
        rig.check(first, alike, whole)


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_a_cancelled_turn_leaves_its_cells(n_steps: int) -> None:
    with open_desk(n_seq=1, has_cache=False) as rig:
        rig.take(LONG, max_tokens=9)
        rig.step(n_steps)
        rig.desk.cancel(TurnId(1), "enough")
        rig.run()
        again = rig.take(LONG)
        rig.run()
        assert told(again) == (min(16 * n_steps, len(LONG) - 2), "live", "exact")
        rig.check(again)


def test_a_prompt_leaves_two_tokens_to_compute() -> None:
    with open_desk(has_cache=False) as rig:
        rig.take(SHARED)
        rig.run()
        for n_more in range(3):
            again = rig.take((*SHARED, *range(n_more)))
            rig.run()
            assert again.got.usage.n_cached == len(SHARED) - max(0, 2 - n_more)
            rig.check(again)


def test_a_single_token_that_was_computed_alone_is_no_part_of_a_prompt() -> None:
    """A row that is alone has other last bits than one of a prompt."""
    with open_desk(n_seq=1, has_cache=False, n_reuse=1) as rig:
        rig.take([9], max_tokens=1)
        rig.run()
        other = rig.take([9, 8, 7])
        rig.run()
        assert told(other) == (0, None, "exact")


def test_the_pending_token_that_a_resumed_turn_computed_is_no_part_of_a_prompt() -> None:
    with open_desk(n_seq=1, has_cache=False) as rig:
        first = rig.take(SHARED, max_tokens=1, keep=True)
        rig.run()
        assert rig.kept[0].snapshot is not None
        resumed = rig.resume(rig.kept[0].snapshot, max_tokens=1)
        rig.run()
        assert told(resumed) == (len(SHARED), "live", "exact")
        other = rig.take((*SHARED, *first.got.tokens, 1, 2))
        rig.run()
        assert told(other) == (len(SHARED), "live", "exact")


def test_what_an_idle_sequence_held_and_another_turn_took_is_looked_for_again() -> None:
    """A turn counts on cells of a free sequence; a turn before it in the queue may take that sequence."""
    with open_desk(n_seq=1) as rig:
        first = rig.take(SHARED, keep=True)
        rig.run()
        said = (*SHARED, *first.got.tokens)
        other = rig.take([100] * 9)
        again = rig.take((*said, *LONG), past=first.got.lineage[:-1])
        rig.answer()
        rig.answer()  # no more than its sequence has, which is not free any more
        assert rig.started == [1, 2]
        rig.step(2)
        assert [question.n_had for question in rig.questions] == [0]
        rig.answer(n_cells=len(said) - 1)
        rig.run()
        assert told(again) == (len(said) - 1, "ram", "exact")
        rig.check(other, again)


# -- the queue -------------------------------------------------------------------------------


def test_ready_turns_start_in_the_order_in_which_they_came() -> None:
    with open_desk(n_seq=1, has_cache=False) as rig:
        askers = [rig.take([n] * 9) for n in range(100, 106)]
        rig.run()
        assert rig.started == [1, 2, 3, 4, 5, 6]
        rig.check(*askers)


def test_a_turn_whose_lookup_is_slow_does_not_hold_the_next_one_up() -> None:
    with open_desk(n_seq=2) as rig:
        rig.take([100] * 9)
        rig.take([101] * 9)
        rig.answer(1)
        assert rig.started == [2]
        rig.step()
        rig.take([102] * 9)
        rig.answer(1)
        assert rig.started == [2, 3]
        rig.answer()
        rig.run()
        assert rig.started == [2, 3, 1]


def test_no_more_states_are_fetched_than_there_are_sequences_for_and_one() -> None:
    with open_desk(n_seq=2) as rig:
        for n in range(8):
            rig.take([100 + n] * 9)
        assert len(rig.questions) == 3
        rig.answer(n_cells=4)
        assert (rig.started, len(rig.questions)) == ([1], 2)
        rig.answer(n_cells=4)
        assert (rig.started, len(rig.questions)) == ([1, 2], 1)
        rig.answer(n_cells=4)
        assert (rig.started, rig.questions) == ([1, 2], [])
        rig.run()
        assert rig.started == list(range(1, 9))


def test_turns_that_look_count_as_waiting_only_where_no_sequence_is_left_for_them() -> None:
    with open_desk(n_seq=2, queue_capacity=1) as rig:
        askers = [rig.take([100 + n] * 9) for n in range(4)]
        assert [type(asker.error) for asker in askers] == [type(None)] * 3 + [Busy]
        rig.run()
        rig.check(*askers[:3])


def test_with_no_queue_a_turn_is_taken_if_a_sequence_is_left_for_it() -> None:
    with open_desk(n_seq=2, queue_capacity=0) as rig:
        askers = [rig.take([100 + n] * 9) for n in range(3)]
        assert [type(asker.error) for asker in askers] == [type(None)] * 2 + [Busy]
        rig.run()
        rig.check(*askers[:2])


def test_a_turn_may_be_cancelled_while_it_looks_and_the_answer_comes_to_nobody() -> None:
    with open_desk(n_seq=1) as rig:
        left = rig.take([100] * 9)
        rig.desk.cancel(TurnId(1), "left")
        left.has_left = True
        other = rig.take([101] * 9)
        rig.answer(n_cells=4)
        assert rig.started == []
        rig.answer()
        rig.run()
        assert rig.started == [2]
        rig.check(other)


def test_an_unload_sends_away_who_looks_and_who_follows() -> None:
    with open_desk(n_seq=3) as rig:
        leader = rig.take((*LONG, 1, 2, 3))
        rig.answer()
        follows, looks = rig.take((*LONG, 4, 5, 6)), rig.take([100] * 9)
        rig.desk.refuse_queued()
        rig.desk.cancel_running()
        rig.run()
        assert [type(asker.error) for asker in (leader, follows, looks)] == [
            TurnCancelled,
            ModelUnavailable,
            ModelUnavailable,
        ]
        assert rig.desk.n_free_slots == 3


def test_a_continued_turn_is_restored_whatever_it_costs_and_however_little_it_is() -> None:
    with open_desk(n_seq=1) as rig:
        rig.take(LONG)
        rig.run()
        assert rig.cells.token_s is not None
        rig.take((1, 2, 3), past=(1,))
        (question,) = rig.questions
        assert (question.token_s, question.n_least) == (None, 1)
        rig.answer()
        rig.run()
        rig.take(SHARED)
        (question,) = rig.questions
        assert (question.token_s, question.n_least) == (rig.cells.token_s, 4)
        rig.run()


@pytest.mark.parametrize("n_more", [0, 30])
def test_a_continued_turn_does_not_follow_another_for_a_part_of_its_past(n_more: int) -> None:
    """Its own cells are somewhere; the leader's are computed in another way, and may be too few."""
    with open_desk(n_seq=2) as rig:
        first = rig.take(SHARED, max_tokens=5, keep=True)
        rig.run()
        assert rig.kept[0].snapshot is not None
        for token in (150, 151):
            rig.take([token] * 9)
        rig.run()
        rig.take((*SHARED[:-3], *range(100, 103 + n_more)))
        rig.answer()
        resumed = rig.resume(rig.kept[0].snapshot, max_tokens=2)
        rig.answer(n_cells=len(SHARED) + len(first.got.tokens) - 1)
        rig.run()

        assert told(resumed) == (len(SHARED) + 4, "ram", "exact")


def test_a_past_that_is_nowhere_is_computed_again_and_says_so() -> None:
    with open_desk() as rig:
        asker = rig.take(SHARED, past=SHARED[:-5])
        rig.answer(n_cells=12)
        rig.run()
        assert told(asker) == (12, "ram", "recomputed")


@pytest.mark.parametrize("level", ["faithful", "recomputed"])
def test_a_context_promises_no_more_than_its_canary_found(level: str) -> None:
    with open_desk(has_cache=False, exactness=level) as rig:  # type: ignore[arg-type]
        first = rig.take(SHARED)
        rig.run()
        said = (*SHARED, *first.got.tokens)
        again = rig.take((*said, 3, 4), past=first.got.lineage[:-1])
        rig.run()
        assert {first.got.exactness, again.got.exactness} == {level}


def test_a_continued_turn_that_has_its_whole_past_asks_only_for_much_more() -> None:
    with open_desk(n_seq=1) as rig:
        rig.take(SHARED)
        rig.run()
        rig.take((*SHARED, 1, 2, 3), past=SHARED[:-1])
        assert rig.questions == []
        rig.run()
        rig.take((*SHARED, 1, 2, 3, *LONG), past=(*SHARED, 1))
        assert [question.n_least for question in rig.questions] == [len(SHARED) + 3 + 4]
        rig.run()


def test_a_turn_starts_with_what_is_longer_its_sequence_or_what_was_fetched() -> None:
    with open_desk(n_seq=1) as rig:
        first = rig.take(LONG[:20])
        rig.run()
        rig.take(LONG)
        assert rig.questions[0].n_had == 20
        rig.answer(n_cells=40)
        command = rig.commands[-1]
        assert isinstance(command, StartTurn)
        assert command.restore is not None
        assert (command.n_live, command.restore.n_cells) == (0, 40)
        rig.run()
        rig.check(first)
