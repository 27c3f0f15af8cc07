"""Rows that sequences lend to their neighbours, so that no row is computed alone (``plan.py``)."""

from __future__ import annotations

from actorllama.engine.batch import LentRow
from actorllama.engine.plan import StepPlan, plan_bridges
from actorllama.native import InferenceContext

__all__ = ["RowLender"]


class RowLender:
    """Chooses the rows that are computed beside a plan's single ones, and taken back after the step.

    Owner: the engine loop.
    """

    def __init__(self, context: InferenceContext, *, n_cells: int) -> None:
        """Lend rows of a context's sequences.

        Args:
            context: What computes.
            n_cells: Cells of a sequence that turns may use; one more is free for what is lent.
        """
        self._context = context
        self._n_seq = context.facts.n_seq
        self._n_cells = n_cells

    def lend(self, plan: StepPlan) -> tuple[LentRow, ...]:
        """Choose the rows that keep the plan's single ones from being alone."""
        if not plan.decode:
            return ()
        ends = [self._end_of(seq_id) for seq_id in range(self._n_seq)]
        full = {seq_id for seq_id, end in enumerate(ends) if end > self._n_cells}
        bridges = plan_bridges(plan.decode, n_seq=self._n_seq, full=full)
        return tuple(LentRow(seq_id, ends[seq_id]) for seq_id in bridges)

    def take_back(self, lent: tuple[LentRow, ...]) -> None:
        """Forget what was computed for the neighbours' sake."""
        for seq_id, position in lent:
            self._context.remove_cells(seq_id, position, position + 1)

    def _end_of(self, seq_id: int) -> int:
        """Return the position that a sequence, live or idle, would compute next."""
        held = self._context.position_range(seq_id)
        return 0 if held is None else held[1] + 1
