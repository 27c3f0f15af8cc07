"""What the sequences of a context hold: where a turn's first cells come from, and copies of them."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from actorllama.engine.commands import PrefixSource, StartTurn
from actorllama.errors import StateError
from actorllama.kvcache import TouchedMemory
from actorllama.native import InferenceContext

__all__ = ["BegunCells", "SequenceCells"]


class BegunCells(NamedTuple):
    """The cells that a turn begins with."""

    n_cells: int
    source: PrefixSource | None
    restore_s: float


class SequenceCells:
    """Put saved cells into sequences, keep what is there already, and copy cells out.

    Owner: its engine loop; all on the host thread.
    """

    def __init__(self, context: InferenceContext) -> None:
        """Work on ``context``."""
        self._context = context
        self._memory = TouchedMemory()

    def begin(self, command: StartTurn) -> BegunCells:
        """Give a sequence the cells that its turn begins with; what cannot be had is computed again.

        Raises:
            StateError: The sequence does not hold what its owner believes: its state is in doubt.
        """
        began_s = perf_counter()
        seq_id = command.seq_id
        if command.n_live and self._context.rollback(seq_id, command.n_live):
            return BegunCells(command.n_live, "live", perf_counter() - began_s)
        # Whatever an earlier turn left in the sequence is not this turn's.
        self._context.clear_sequence(seq_id)
        saved = command.restore
        if saved is None:
            return BegunCells(0, None, 0.0)
        try:
            self._context.set_state(seq_id, memoryview(saved.kv), n_cells=saved.n_cells)
        except StateError:
            self._context.clear_sequence(seq_id)
            return BegunCells(0, None, 0.0)
        return BegunCells(saved.n_cells, saved.source, perf_counter() - began_s)

    def capture(self, seq_id: int) -> memoryview:
        """Copy the cells of a sequence out."""
        buffer = self._memory.take(self._context.state_bytes(seq_id))
        return buffer[: self._context.get_state(seq_id, buffer)]

    @property
    def scratch_bytes(self) -> int:
        """About how much `drop_scratch` would give back; on any thread."""
        return self._memory.about_idle_bytes

    def drop_scratch(self, n_bytes: int) -> int:
        """Give up pages that were kept for the next copy; return their bytes.

        Cost: 60 ms per gigabyte at worst.
        """
        return self._memory.trim(limit_bytes=n_bytes)
