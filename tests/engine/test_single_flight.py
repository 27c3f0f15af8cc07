"""Turns that begin alike compute the beginning once, whatever becomes of the one that computes it."""

from __future__ import annotations

import pytest

from actorllama.engine.commands import CaptureCells
from actorllama.engine.lineage import alone, plain
from actorllama.ids import TurnId
from tests.engine.desk_rig import Asker, DeskRig, open_desk, state_of

SHARED = tuple(range(20, 60))
LONG = tuple(range(10, 90))


def told(asker: Asker) -> tuple[int, str | None, str]:
    """Say what was reused, from where, and what is promised."""
    return asker.got.usage.n_cached, asker.got.usage.source, asker.got.exactness


def test_turns_that_begin_alike_compute_the_beginning_once() -> None:
    with open_desk(n_seq=4, has_cache=False) as rig:
        askers = [rig.take((*SHARED, 100 + n, 101, 102)) for n in range(4)]
        rig.run()
        assert [told(asker) for asker in askers] == [
            (0, None, "exact"),
            *[(len(SHARED), "turn", "exact")] * 3,
        ]
        assert rig.n_computed(SHARED) == len(SHARED)
        rig.check(*askers)


def test_turns_that_all_asked_the_cache_before_one_started_compute_the_beginning_once() -> None:
    with open_desk(n_seq=4) as rig:
        askers = [rig.take((*SHARED, 100 + n, 101, 102)) for n in range(6)]
        while rig.questions:
            rig.answer()
        rig.run()
        assert rig.n_computed(SHARED) == len(SHARED)
        rig.check(*askers)


def test_who_asked_the_cache_before_another_ended_that_was_alike_asks_again() -> None:
    """The answer is older than what the other left, and its sequence is taken by the one between."""
    with open_desk(n_seq=2) as rig:
        askers = [rig.take((*SHARED, 100 + n, 101, 102)) for n in range(3)]
        rig.answer()
        while rig.loop.is_runnable:
            rig.step()
        assert askers[0].result
        rig.answer()
        rig.answer()
        assert rig.started == [1, 2]
        (question,) = rig.questions
        assert question.turn_id == 3
        rig.answer(n_cells=len(SHARED))
        rig.run()
        assert [told(asker)[:2] for asker in askers[1:]] == [(len(SHARED), "live"), (len(SHARED), "ram")]
        assert rig.n_computed(SHARED) == len(SHARED)
        rig.check(*askers)


def test_who_asked_the_cache_before_a_leader_gave_it_what_it_has_asks_again() -> None:
    with open_desk(n_seq=4) as rig:
        leader, slow = (rig.take((*SHARED, 100 + n, 101, 102), max_tokens=20) for n in range(2))
        rig.answer()
        rig.step(8)
        late = rig.take((*SHARED, 110, 101, 102))
        rig.deliver()  # the leader is past it, and gives the cache all that it has
        rig.answer()
        assert rig.started == [1]
        assert sorted(question.turn_id for question in rig.questions) == [2, 3]
        for _ in range(2):
            rig.answer(n_cells=len(SHARED))
        rig.run()
        assert rig.n_computed(SHARED) == len(SHARED)
        rig.check(leader, slow, late)


def test_who_finds_nothing_again_starts_all_the_same() -> None:
    with open_desk(n_seq=2) as rig:
        askers = [rig.take((*SHARED, 100 + n, 101, 102)) for n in range(3)]
        rig.answer()
        while rig.loop.is_runnable:
            rig.step()
        rig.answer()
        rig.answer()
        rig.answer()  # evicted, or not worth it
        assert rig.started == [1, 2, 3]
        rig.run()
        rig.check(*askers)


def test_followers_do_not_hold_up_who_has_nothing_in_common_with_them() -> None:
    with open_desk(n_seq=2, has_cache=False) as rig:
        for n in range(4):
            rig.take((*LONG, 100 + n, 101, 102))
        rig.take([100] * 9)
        assert rig.started == [1, 5]
        rig.run()


def test_a_follower_that_shares_one_token_less_than_another_is_served_as_well() -> None:
    with open_desk(n_seq=3, has_cache=False) as rig:
        askers = [rig.take(tokens) for tokens in (LONG, (*LONG[:41], 1, 2, 3), (*LONG[:40], 1, 2, 3))]
        rig.run()
        assert [told(asker)[:2] for asker in askers] == [(0, None), (41, "turn"), (39, "turn")]
        rig.check(*askers)


def test_more_followers_than_sequences_compute_the_beginning_once() -> None:
    with open_desk(n_seq=2, has_cache=False) as rig:
        askers = [rig.take((*SHARED, 100 + n, 101, 102)) for n in range(7)]
        rig.run()
        assert rig.n_computed(SHARED) == len(SHARED)
        assert {told(asker)[1] for asker in askers[1:]} <= {"turn", "live"}
        rig.check(*askers)


def test_each_follower_gets_as_much_as_it_shares() -> None:
    with open_desk(n_seq=4, has_cache=False) as rig:
        leader = rig.take(LONG)
        short = rig.take((*LONG[:30], 1, 2, 3))
        long = rig.take((*LONG[:60], 1, 2, 3))
        rig.run()
        assert [told(asker)[:2] for asker in (leader, short, long)] == [(0, None), (30, "turn"), (60, "turn")]
        rig.check(leader, short, long)


def test_followers_that_share_nearly_as_much_are_served_by_one_copy() -> None:
    with open_desk(n_seq=4, has_cache=False) as rig:
        leader = rig.take(LONG)
        followers = [rig.take((*LONG[:n], 1, 2, 3)) for n in (40, 41, 42)]
        rig.run()
        assert [told(asker)[:2] for asker in (leader, *followers)] == [(0, None), *[(40, "turn")] * 3]
        rig.check(leader, *followers)


def test_a_leader_that_is_past_the_point_does_not_hold_anybody_up() -> None:
    with open_desk(n_seq=2, has_cache=False) as rig:
        leader = rig.take(LONG, max_tokens=20)
        rig.step(4)
        late = rig.take((*LONG[:30], 1, 2, 3))
        rig.run()
        assert told(late) == (0, None, "exact")
        rig.check(leader, late)


def test_what_a_leader_has_that_is_past_the_point_goes_to_the_cache_and_is_found_there() -> None:
    with open_desk(n_seq=2) as rig:
        leader = rig.take(LONG, max_tokens=20)
        rig.answer()
        rig.step(8)
        late = rig.take((*LONG[:30], 1, 2, 3))
        rig.deliver()
        (kept,) = rig.kept
        assert kept.tokens[: len(LONG)] == LONG
        assert len(kept.tokens) > len(LONG)
        assert bytes(kept.kv or b"") == bytes(state_of(plain(kept.tokens)))
        assert kept.tokens[len(LONG) :] == alone(plain(kept.tokens[len(LONG) :]))
        (question,) = rig.questions
        assert question.turn_id == 2
        rig.answer(n_cells=28)
        rig.run()
        assert told(late) == (28, "ram", "exact")
        rig.check(leader, late)


def test_a_leader_is_asked_once_for_what_it_is_past() -> None:
    with open_desk(n_seq=4) as rig:
        leader = rig.take(LONG, max_tokens=20)
        rig.answer()
        rig.step(8)
        for n in range(3):
            rig.take((*LONG[:30], n, 2, 3))
            rig.deliver()
        assert len(rig.kept) == 1
        assert captures(rig) == [30]
        rig.run()
        rig.check(leader)


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_a_leader_that_is_cancelled_leaves_what_it_had_to_its_followers(n_steps: int) -> None:
    with open_desk(n_seq=3, has_cache=False) as rig:
        rig.take((*LONG, 1, 2, 3))
        followers = [rig.take((*LONG, 100 + n, 101, 102)) for n in range(2)]
        rig.step(n_steps)
        rig.desk.cancel(TurnId(1), "enough")
        rig.run()
        assert rig.n_computed(LONG) == len(LONG)
        rig.check(*followers)


def test_a_leader_whose_step_fails_leaves_nothing_and_nobody_waiting() -> None:
    with open_desk(n_seq=3, has_cache=False) as rig:
        leader = rig.take((*LONG, 1, 2, 3))
        followers = [rig.take((*LONG, 100 + n, 101, 102)) for n in range(2)]
        rig.backend.faults.fail_decode(1, nth=2)
        rig.run()
        assert leader.error is not None
        rig.check(*followers)
        assert rig.n_computed(LONG) == 16 + len(LONG)


def test_a_follower_that_leaves_does_not_hold_the_leader_nor_the_others_up() -> None:
    with open_desk(n_seq=3, has_cache=False) as rig:
        leader = rig.take((*LONG, 1, 2, 3))
        left = rig.take((*LONG, 100, 101, 102))
        stays = rig.take((*LONG, 103, 101, 102))
        left.has_left = True
        rig.desk.cancel(TurnId(2), "left")
        rig.run()
        assert left.result is None
        assert told(stays)[:2] == (len(LONG), "turn")
        rig.check(leader, stays)


@pytest.mark.parametrize("needs_boundary", [False, True])
def test_a_shared_beginning_is_kept_for_those_who_come_later(needs_boundary: bool) -> None:
    """The turns that computed it may run for long; until then nothing else would bring it."""
    with open_desk(n_seq=2, needs_boundary=needs_boundary) as rig:
        rig.take((*SHARED, 1, 2, 3), max_tokens=40)
        rig.answer()
        rig.take((*SHARED, 4, 5, 6), max_tokens=40)
        rig.step(4)
        (kept,) = rig.kept
        assert (kept.tokens, kept.snapshot) == (SHARED, None)


def captures(rig: DeskRig) -> list[int]:
    return [command.n_cells for command in rig.commands if isinstance(command, CaptureCells)]


def test_nobody_follows_for_less_than_is_worth_it() -> None:
    with open_desk(n_seq=2, has_cache=False, n_reuse=30) as rig:
        askers = [rig.take((*SHARED[:29], 1 + n, 2, 3)) for n in range(2)]
        assert captures(rig) == []
        rig.run()
        rig.check(*askers)
