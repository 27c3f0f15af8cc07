"""What llama.cpp reads is the batch, whatever batch came before."""

from __future__ import annotations

import numpy as np
import pytest

from actorllama.errors import StateError
from actorllama.native import StepBatch
from actorllama.native.llama.batch_columns import BatchColumns

N_BATCH = 12


def read_back(columns: BatchColumns, batch: StepBatch) -> StepBatch:
    native = columns.fill(batch)
    rows = range(native.n_tokens)
    assert all(native.n_seq_id[row] == 1 for row in rows)
    return StepBatch(
        tokens=[native.token[row] for row in rows],
        positions=[native.pos[row] for row in rows],
        seq_ids=[native.seq_id[row][0] for row in rows],
        outputs=[row for row in rows if native.logits[row]],
    )


def any_batch(generator: np.random.Generator) -> StepBatch:
    n = int(generator.integers(1, N_BATCH + 1))
    return StepBatch(
        tokens=generator.integers(0, 1 << 30, n).tolist(),
        positions=generator.integers(0, 100, n).tolist(),
        seq_ids=generator.integers(0, 3, n).tolist(),
        outputs=[row for row in range(n) if generator.random() < 0.5],
    )


def test_every_batch_is_read_as_it_was_written_whatever_came_before() -> None:
    columns, generator = BatchColumns(N_BATCH), np.random.default_rng(1)
    for _ in range(300):
        batch = any_batch(generator)
        assert read_back(columns, batch) == batch
        moved = StepBatch(  # the next step of the same sequences
            tokens=[token // 2 for token in batch.tokens],
            positions=[position + 1 for position in batch.positions],
            seq_ids=batch.seq_ids,
            outputs=batch.outputs,
        )
        assert read_back(columns, moved) == moved


def test_a_list_that_its_owner_changes_is_written_again() -> None:
    columns = BatchColumns(N_BATCH)
    seq_ids, outputs = [0, 1], [1]
    batch = StepBatch(tokens=[5, 6], positions=[7, 8], seq_ids=seq_ids, outputs=outputs)
    read_back(columns, batch)
    seq_ids[0], outputs[0] = 2, 0
    assert read_back(columns, batch) == batch


def test_ranges_are_columns_too() -> None:
    batch = StepBatch(tokens=range(3), positions=range(4, 7), seq_ids=range(3), outputs=range(1))
    wanted = StepBatch(tokens=[0, 1, 2], positions=[4, 5, 6], seq_ids=[0, 1, 2], outputs=[0])
    assert read_back(BatchColumns(3), batch) == wanted


@pytest.mark.parametrize("n", [0, N_BATCH + 1])
def test_none_and_too_many_tokens_are_refused(n: int) -> None:
    with pytest.raises(StateError, match=f"a batch of {n} tokens, 1 to {N_BATCH} fit"):
        BatchColumns(N_BATCH).fill(StepBatch(tokens=[1] * n, positions=[0] * n, seq_ids=[0] * n, outputs=[]))


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(StateError, match="differ in length"):
        BatchColumns(N_BATCH).fill(StepBatch(tokens=[1, 2], positions=[0], seq_ids=[0, 0], outputs=[1]))
