import json

from actorllama.cli.run_report import answer_of, statistics_of, worst_exit_code
from actorllama.cli.turns import Outcome
from actorllama.engine import LoopStatistics, Timings, TurnResult, Usage
from actorllama.errors import Busy, ContextFull

LOOP = LoopStatistics(
    n_steps=10, n_prefilled=12, n_decoded=28, n_live=0, decode_s=0.1, prefill_s=0.0, sample_s=0.1
)
FULL = Outcome(text="", error=ContextFull(n_tokens=9, n_ctx=8))
BUSY = Outcome(text="", error=Busy(model="m", n_queued=1, capacity=1))
CUT = Outcome(text="half", n_generated=2)


def ended(first_token_s: float) -> Outcome:
    result = TurnResult(
        model="m",
        turn_id=1,
        text="yes",
        tokens=(1, 2, 3),
        finish_reason="end",
        stop=None,
        seed=7,
        n_draws=3,
        n_steps=3,
        exactness="exact",
        usage=Usage(n_prompt=4, n_cached=0, n_prefilled=4, n_generated=3),
        timings=Timings(queue_s=0.0, prefill_s=first_token_s, decode_s=1.0),
    )
    return Outcome(text="yes", n_generated=3, result=result)


def test_a_run_is_told_in_one_line() -> None:
    statistics = statistics_of([ended(0.1), ended(0.2), ended(0.9)], LOOP, wall_s=2.0)
    assert statistics.line() == (
        "3 turns, 9 tokens in 2.00 s, 4.5 tokens/s, first token after 200 ms (median), "
        "10 steps, mean batch 4.0 tokens"
    )


def test_replies_that_were_cut_short_count_their_tokens() -> None:
    statistics = statistics_of([ended(0.1), CUT], LOOP, wall_s=1.0)
    assert (statistics.n_turns, statistics.n_ended, statistics.n_generated) == (2, 1, 5)
    assert statistics.line().startswith("1 of 2 turns, 5 tokens in 1.00 s, ")


def test_a_run_without_a_step_has_no_speed() -> None:
    statistics = statistics_of([FULL], None, wall_s=0.0)
    assert statistics.line() == "0 of 1 turns, 0 tokens in 0.00 s, 0 steps"


def test_every_outcome_has_its_place_in_the_answer() -> None:
    answer = json.dumps(answer_of(["a", "b", "c"], [ended(0.1), FULL, CUT], {"model": "m"}))
    turns = json.loads(answer)["turns"]
    assert [turn["finish_reason"] for turn in turns] == ["end", "error", "cancelled"]
    assert [turn["prompt"] for turn in turns] == ["a", "b", "c"]
    assert turns[2]["text"] == "half"


def test_what_the_user_can_mend_decides_the_exit_code() -> None:
    assert worst_exit_code([ended(0.1), CUT]) == 0
    assert worst_exit_code([BUSY]) == 1
    assert worst_exit_code([BUSY, FULL]) == 2
