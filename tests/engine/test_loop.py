"""Continuous batching, driven step by step on a fake context."""

from __future__ import annotations

import pytest

from actorllama.errors import DecodeError
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import END, END_OF_TURN, FakeLanguage
from actorllama.testing.loop_rig import open_loop

ENDLESS = FakeLanguage(end_one_in=0)


def test_a_turn_alone_brings_what_the_model_says() -> None:
    with open_loop() as rig:
        rig.start(1, "hello", max_tokens=20)
        rig.run()

        assert rig.outcome(1) == rig.expected(1)


def test_an_idle_loop_is_not_runnable_and_its_step_does_nothing() -> None:
    with open_loop() as rig:
        assert not rig.loop.is_runnable
        rig.loop.step()
        assert rig.reports == []
        assert rig.loop.statistics().n_steps == 0


def test_turns_side_by_side_bring_what_each_brings_alone() -> None:
    with open_loop(n_seq=4) as rig:
        for turn_id in range(4):
            rig.start(turn_id, "x" * (turn_id * 9 + 1), seq_id=turn_id, max_tokens=12)
        rig.run()

        assert [rig.outcome(i) for i in range(4)] == [rig.expected(i) for i in range(4)]


def test_a_turn_that_comes_later_joins_the_steps_of_the_others() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "first", max_tokens=20)
        rig.run(n_steps=5)
        rig.start(2, "second", seq_id=1, max_tokens=20)
        rig.run()

        assert rig.outcome(1) == rig.expected(1)
        assert rig.outcome(2) == rig.expected(2)
        assert any(set(batch.seq_ids) == {0, 1} for batch in rig.backend.batches)


def test_a_prompt_longer_than_a_batch_is_computed_in_chunks() -> None:
    with open_loop(n_batch=16) as rig:
        rig.start(1, "p" * 40, max_tokens=4)
        rig.run()

        assert rig.outcome(1) == rig.expected(1)
        assert [len(batch.tokens) for batch in rig.backend.batches[:3]] == [16, 16, 9]
        assert [list(batch.outputs) for batch in rig.backend.batches[:3]] == [[], [], [8]]


def test_decoders_and_a_prompt_take_turns() -> None:
    """In one step llama.cpp would compute them one after the other anyway, and the prompt not exactly."""
    with open_loop(FakeBackend(ENDLESS), n_batch=16, n_mixed=8) as rig:
        rig.start(1, "a", max_tokens=40)
        rig.run(n_steps=1)
        rig.start(2, "p" * 50, seq_id=1, max_tokens=1)
        rig.run(n_steps=4)

        assert [list(batch.seq_ids) for batch in rig.backend.batches[1:]] == [[1] * 8, [0]] * 2


def test_decoders_come_first_in_a_step_of_a_shared_layout() -> None:
    with open_loop(FakeBackend(ENDLESS), n_batch=16, n_mixed=8, layout="shared") as rig:
        rig.start(1, "a", max_tokens=40)
        rig.run(n_steps=1)
        rig.start(2, "p" * 50, seq_id=1, max_tokens=1)
        rig.run(n_steps=2)

        assert [list(batch.seq_ids) for batch in rig.backend.batches[1:]] == [[0, *[1] * 8]] * 2


def test_the_last_token_of_a_prompt_is_a_row_among_the_decoders() -> None:
    with open_loop(FakeBackend(ENDLESS), n_batch=16) as rig:
        rig.start(1, [5, 6, 7], seq_id=0, max_tokens=9)
        rig.start(3, [5, 6, 7], seq_id=2, max_tokens=9)
        rig.run(n_steps=1)
        rig.start(2, [9], seq_id=1, max_tokens=9)
        rig.run()

        assert list(rig.backend.batches[1].seq_ids) == [0, 1, 2]
        assert [rig.outcome(i) for i in (1, 2, 3)] == [rig.expected(i) for i in (1, 2, 3)]
        assert rig.ends[2].first_token_at_s is not None
        statistics = rig.loop.statistics()
        assert (statistics.n_prefilled, statistics.n_decoded) == (7, 24)


def test_a_lone_row_is_lent_another_and_what_idle_sequences_hold_stays() -> None:
    with open_loop(FakeBackend(ENDLESS), pads_lone_rows=True) as rig:
        rig.start(1, "what an idle sequence holds", seq_id=1, max_tokens=2)
        rig.run()
        held = rig.context.tokens_held(1)
        rig.start(2, "alone", seq_id=0, max_tokens=5)
        rig.run()

        assert [list(batch.seq_ids) for batch in rig.backend.batches[-4:]] == [[0, 1]] * 4
        assert rig.context.tokens_held(1) == held
        assert rig.outcome(2) == rig.expected(2)


def test_a_row_beside_a_prompt_borrows_one_from_it() -> None:
    with open_loop(FakeBackend(ENDLESS), n_seq=2, n_mixed=8, pads_lone_rows=True) as rig:
        rig.start(1, "a", max_tokens=20)
        rig.run(n_steps=2)
        rig.start(2, "p" * 40, seq_id=1, max_tokens=5)
        rig.run()

        assert [list(batch.seq_ids) for batch in rig.backend.batches[2:4]] == [[1] * 8, [0, 1]]
        assert [rig.outcome(i) for i in (1, 2)] == [rig.expected(i) for i in (1, 2)]


def test_where_rows_are_lent_a_sequence_keeps_a_cell_free_for_it() -> None:
    with open_loop(FakeBackend(ENDLESS), n_seq=2, ctx_per_seq=16, pads_lone_rows=True) as rig:
        rig.start(1, "1234567", seq_id=0)
        rig.run()
        rig.start(2, "1234567", seq_id=1)
        rig.run()

        assert [rig.ends[i].finish_reason for i in (1, 2)] == ["context", "context"]
        assert [len(rig.context.tokens_held(i)) for i in (0, 1)] == [15, 15]


def test_a_slot_used_again_knows_nothing_of_the_turn_before() -> None:
    with open_loop() as rig:
        rig.start(1, "the first turn", max_tokens=6)
        rig.run()
        rig.start(2, "another", max_tokens=6)
        rig.run()

        assert rig.outcome(2) == rig.expected(2)


@pytest.mark.parametrize("seed", range(4))
def test_random_draws_depend_on_the_seed_and_on_nothing_beside(seed: int) -> None:
    with open_loop() as rig:
        rig.start(1, "draw", max_tokens=16, temperature=1.2, seed=seed)
        rig.start(2, "beside", seq_id=1, max_tokens=9, temperature=0.7, seed=99)
        rig.run()

        assert rig.outcome(1) == rig.expected(1)
        assert rig.ends[1].n_draws == len(rig.ends[1].tokens)


def test_the_end_token_counts_and_has_no_text() -> None:
    with open_loop(FakeBackend(FakeLanguage(end_one_in=6))) as rig:
        rig.start(1, "short", max_tokens=60)
        rig.run()

        assert rig.ends[1].finish_reason == "end"
        assert rig.ends[1].tokens[-1] in (END, END_OF_TURN)
        assert rig.outcome(1) == rig.expected(1)


def test_max_tokens_ends_a_turn() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "long", max_tokens=3)
        rig.run()

        assert (rig.ends[1].finish_reason, len(rig.ends[1].tokens)) == ("length", 3)


def test_a_full_sequence_ends_a_turn_with_every_cell_used() -> None:
    with open_loop(FakeBackend(ENDLESS), ctx_per_seq=16) as rig:
        rig.start(1, "1234567")
        rig.run()

        # Eight tokens of prompt, eight computed after it, and one more that has no cell.
        assert (rig.ends[1].finish_reason, len(rig.ends[1].tokens)) == ("context", 9)
        assert len(rig.context.tokens_held(0)) == 16
        assert rig.outcome(1) == rig.expected(1)


@pytest.mark.parametrize("n_stop", [1, 2, 5])
def test_a_stop_string_ends_a_turn_before_itself(n_stop: int) -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "stop me", max_tokens=30)
        rig.run()
        text = rig.ends[1].text
        stop = text[7 : 7 + n_stop]
        rig.start(2, "stop me", max_tokens=30, stop=(stop,), credit=100)
        rig.run()

        assert rig.outcome(2) == rig.expected(2)
        assert rig.ends[2].text == rig.text(2) == text[: text.index(stop)]
        assert rig.ends[2].stop == stop


def test_pieces_add_up_to_the_text_of_the_result() -> None:
    with open_loop() as rig:
        for turn_id in range(4):
            rig.start(
                turn_id, "piece" * turn_id + "!", seq_id=turn_id, max_tokens=30, credit=99, stop=("th",)
            )
        rig.run()

        assert [rig.text(i) for i in range(4)] == [rig.ends[i].text for i in range(4)]


def test_a_turn_without_a_reader_makes_no_pieces() -> None:
    with open_loop() as rig:
        rig.start(1, "quiet", max_tokens=8)
        rig.run()

        assert [report.pieces for report in rig.reports] == [()]


def test_a_slow_reader_holds_back_its_own_turn_and_no_other() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "slow", max_tokens=20, credit=2)
        rig.start(2, "quick", seq_id=1, max_tokens=20)
        rig.run()

        assert not rig.loop.is_runnable, "the host thread would spin until the reader comes back"
        assert 1 not in rig.ends
        assert rig.outcome(2) == rig.expected(2)
        rig.grant(1, 18)
        rig.run()
        assert rig.outcome(1) == rig.expected(1)


def test_credit_that_is_granted_adds_to_what_is_left() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "slow", max_tokens=50, credit=5)
        rig.run(n_steps=2)
        rig.grant(1, 3)
        rig.grant(1, 1)
        rig.run()

        assert sum(piece.n_tokens for report in rig.reports for piece in report.pieces) == 9


def test_a_prompt_is_computed_also_when_there_is_no_credit_for_text() -> None:
    with open_loop(n_batch=16) as rig:
        rig.start(1, "p" * 40, max_tokens=4, credit=1)
        rig.run()

        assert len(rig.context.tokens_held(0)) == 41
        assert not rig.loop.is_runnable


def test_a_cancelled_turn_is_gone_before_the_next_step() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "cancel", max_tokens=50)
        rig.start(2, "stays", seq_id=1, max_tokens=10)
        rig.run(n_steps=3)
        rig.cancel(1)

        assert (rig.ends[1].finish_reason, rig.ends[1].cancel_reason) == ("cancelled", "its caller left")
        assert rig.ends[1].n_cells == len(rig.context.tokens_held(0)) > 0
        rig.run()
        assert rig.outcome(2) == rig.expected(2)


def test_a_prompt_can_be_cancelled_between_its_chunks() -> None:
    with open_loop(n_batch=16) as rig:
        rig.start(1, "p" * 60)
        rig.run(n_steps=2)
        rig.cancel(1)

        assert rig.ends[1].finish_reason == "cancelled"
        assert not rig.loop.is_runnable


def test_commands_about_a_turn_that_has_ended_change_nothing() -> None:
    with open_loop() as rig:
        rig.start(1, "done", max_tokens=2)
        rig.run()
        n_reports = len(rig.reports)
        rig.cancel(1)
        rig.grant(1, 5)

        assert len(rig.reports) == n_reports


def test_a_step_that_finds_no_room_gives_up_the_youngest_turn_only() -> None:
    backend = FakeBackend(ENDLESS)
    with open_loop(backend) as rig:
        rig.start(1, "old", max_tokens=8)
        rig.start(2, "young", seq_id=1, max_tokens=8)
        backend.faults.fail_decode(1, nth=3)
        rig.run()

        assert rig.ends[2].finish_reason == "error"
        assert isinstance(rig.ends[2].error, DecodeError)
        assert rig.context.position_range(1) is None
        assert rig.outcome(1) == rig.expected(1)


@pytest.mark.parametrize("code", [-1, 2, -2, -3])
def test_a_step_that_leaves_the_context_in_doubt_raises(code: int) -> None:
    backend = FakeBackend()
    with open_loop(backend) as rig:
        rig.start(1, "doubt", max_tokens=8)
        backend.faults.fail_decode(code, nth=2)

        with pytest.raises(DecodeError) as failed:
            rig.run()
        assert (failed.value.code, failed.value.is_retryable) == (code, False)


def test_statistics_count_every_row() -> None:
    with open_loop(FakeBackend(ENDLESS), n_batch=16) as rig:
        rig.start(1, "p" * 19, max_tokens=5)
        rig.run()

        statistics = rig.loop.statistics()
        assert (statistics.n_prefilled, statistics.n_decoded, statistics.n_steps) == (20, 4, 6)
        assert statistics.n_live == 0
        assert rig.ends[1].n_steps == 6


def test_closing_frees_the_samplers_of_what_still_runs() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "running", max_tokens=50)
        rig.run(n_steps=2)
        rig.loop.close()

        assert rig.backend.ledger.n_open("sampler") == 0
        assert not rig.loop.is_runnable


def test_a_penalty_looks_back_over_prompt_and_reply() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "aaaa", max_tokens=24, repeat_penalty=1.5, frequency_penalty=0.3, penalty_last_n=8)
        rig.start(2, "aaaa", seq_id=1, max_tokens=24)
        rig.run()

        assert rig.outcome(1) == rig.expected(1)
        assert rig.outcome(1) != rig.outcome(2)


def test_a_forbidden_token_never_comes() -> None:
    with open_loop(FakeBackend(ENDLESS)) as rig:
        rig.start(1, "free", max_tokens=24)
        rig.run()
        common = max(set(rig.ends[1].tokens), key=rig.ends[1].tokens.count)
        rig.start(2, "free", max_tokens=24, logit_bias={common: float("-inf")})
        rig.run()

        assert common not in rig.ends[2].tokens
