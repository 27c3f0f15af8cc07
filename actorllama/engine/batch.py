"""From a plan to the columns of one native call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from actorllama.engine.live_turn import LiveTurn
from actorllama.engine.plan import StepPlan
from actorllama.native import StepBatch

__all__ = ["LentRow", "PlannedBatch", "build_batch"]


class LentRow(NamedTuple):
    """A row that a sequence lends to its neighbour; its cell is taken back after the step."""

    seq_id: int
    position: int


class PlannedBatch(NamedTuple):
    """A batch, and which of its logits rows belong to turns: those that decode first, then ended prompts."""

    batch: StepBatch
    rows: Sequence[int]


def build_batch(
    plan: StepPlan,
    turns: Mapping[int, LiveTurn],
    *,
    lent: Sequence[LentRow] = (),
    has_twin_outputs: bool = False,
) -> PlannedBatch:
    """Write down what a plan computes.

    The token of a single row is the one chosen last, or the only one left of the prompt.

    Args:
        plan: The single rows are ascending by sequence, as llama.cpp computes them: it swaps whole logits
            rows to restore another order, 150 µs a step at 32 sequences.
        turns: By sequence id.
        lent: Rows beside the plan's single ones, of sequences that it does not compute.
        has_twin_outputs: Ask for the last two rows of an ended prompt, so that its output is not alone.
    """
    if lent:
        return _with_lent(plan, turns, lent)
    tokens: list[int] = []
    positions: list[int] = []
    seq_ids: list[int] = list(plan.decode)
    outputs: list[int] = list(range(len(plan.decode)))
    rows: Sequence[int] = range(len(plan.decode))
    for seq_id in plan.decode:
        turn = turns[seq_id]
        tokens.append((turn.tokens or turn.command.prompt)[-1])
        positions.append(turn.n_past)
    for chunk in plan.prefill:
        turn = turns[chunk.seq_id]
        first, end = turn.n_past, turn.n_past + chunk.n_tokens
        tokens.extend(turn.command.prompt[first:end])
        positions.extend(range(first, end))
        seq_ids.extend([chunk.seq_id] * chunk.n_tokens)
        if chunk.n_tokens == turn.n_prompt_left:
            if has_twin_outputs:
                outputs.append(len(tokens) - 2)
            outputs.append(len(tokens) - 1)
            rows = [*rows, len(outputs) - 1]
    return PlannedBatch(StepBatch(tokens=tokens, positions=positions, seq_ids=seq_ids, outputs=outputs), rows)


def _with_lent(plan: StepPlan, turns: Mapping[int, LiveTurn], lent: Sequence[LentRow]) -> PlannedBatch:
    assert not plan.prefill, "chunks and single rows are computed in turns where rows are lent"
    positions = dict(lent)
    seq_ids = sorted((*plan.decode, *positions))
    tokens: list[int] = []
    rows: list[int] = []
    for row, seq_id in enumerate(seq_ids):
        if seq_id in positions:
            tokens.append(0)
        else:
            rows.append(row)
            turn = turns[seq_id]
            tokens.append((turn.tokens or turn.command.prompt)[-1])
            positions[seq_id] = turn.n_past
    batch = StepBatch(
        tokens=tokens,
        positions=[positions[seq_id] for seq_id in seq_ids],
        seq_ids=seq_ids,
        outputs=range(len(seq_ids)),
    )
    return PlannedBatch(batch, rows)
