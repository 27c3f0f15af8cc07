"""How llama.cpp cuts a batch of isolated sequences into micro-batches: the oracle for planned steps."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

__all__ = ["MicroBatch", "split_equal"]


@frozen(kw_only=True)
class MicroBatch:
    """What is computed at once: as many rows of each of these sequences."""

    seq_ids: tuple[int, ...]
    rows: tuple[int, ...]
    """Rows of the batch."""

    @property
    def n_each(self) -> int:
        """Tokens of each sequence."""
        return len(self.rows) // len(self.seq_ids)


def split_equal(seq_ids: Sequence[int], n_ubatch: int) -> list[MicroBatch]:
    """Cut the rows of a batch, given the sequence of each.

    Source: llama.cpp ``src/llama-batch.cpp``, ``split_equal`` with ``sequential``, without its bookkeeping.
    """
    left = list(range(len(seq_ids)))
    cut: list[MicroBatch] = []
    while left:
        taken: list[int] = []
        for row in left:
            if not taken or seq_ids[row] == taken[-1] + 1:
                taken.append(seq_ids[row])
                if len(taken) > n_ubatch:
                    break
        waiting = [[row for row in left if seq_ids[row] == seq_id] for seq_id in taken]
        n_each = min(len(rows) for rows in waiting)
        n_each = min(n_each, max(1, n_ubatch // len(taken)))
        rows = tuple(row for rows in waiting for row in rows[:n_each])
        cut.append(MicroBatch(seq_ids=tuple(taken), rows=rows))
        left = [row for row in left if row not in set(rows)]
    return cut
