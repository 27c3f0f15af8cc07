"""Conversations that begin alike write and compute each token about once."""

from __future__ import annotations

import pytest

from actorllama import demo
from actorllama.bench.conversation import run_conversation_bench
from actorllama.bench.conversation_report import ConversationBenchOptions
from actorllama.errors import RequestError


def options(**changes: object) -> ConversationBenchOptions:
    given: dict[str, object] = {
        "n_ctx_train": 512,
        "n_conversations": 3,
        "n_turns": 3,
        "n_system": 64,
        "n_user": 24,
        "n_reply": 8,
        "n_seq": 2,
        "n_threads": 1,
        "block_tokens": 16,
        **changes,
    }
    return ConversationBenchOptions(model=demo.model_path(), label="demo", **given)  # type: ignore[arg-type]


@pytest.mark.model
@pytest.mark.slow
async def test_what_was_written_and_computed_is_counted_beside_the_run_without_a_cache() -> None:
    report = await run_conversation_bench(options())
    answer = report.to_json()
    turns = 9
    assert (len(report.cached.turns), len(report.bare.turns)) == (turns, turns)
    assert {turn.n_cached for turn in report.bare.turns} == {0}
    assert {turn.source for turn in report.cached.turns} <= {None, "live", "turn", "ram", "disk"}
    assert report.bare.n_prefilled == sum(turn.n_prompt for turn in report.bare.turns)
    assert answer["n_total_tokens"] == 64 + turns * 32
    assert answer["n_new_tokens"] == 64 + turns * 24
    assert 1 <= report.prefill_ratio < report.bare.n_prefilled / options().n_new_tokens
    assert report.written_ratio > 0.9
    assert report.cell_bytes > 0
    assert [sum(said.turn == turn for said in report.cached.turns) for turn in range(3)] == [3, 3, 3]
    assert {"by_source", "by_turn", "first_token"} < set(report.cached.to_json())
    assert any("written" in line for line in report.lines())


def test_tokens_are_counted_once_and_for_whole_saves_with_every_turn() -> None:
    given = options()
    assert given.n_cells_of_one == 64 + 3 * 32
    assert given.n_total_tokens == 64 + 3 * 3 * 32
    assert given.n_whole_tokens == 3 * ((64 + 32) + (64 + 64) + (64 + 96))


@pytest.mark.parametrize(
    "changes",
    [{"n_turns": 0}, {"n_conversations": 0}, {"n_seq": 0}, {"n_user": 0}, {"n_turns": 100}],
    ids=str,
)
def test_what_cannot_be_held_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        options(**changes)
