"""A turn begins with cells that are there, or computes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from actorllama.engine.cells import SequenceCells
from actorllama.engine.commands import RestoredState, StartTurn
from actorllama.errors import StateError
from actorllama.ids import SeqId, TurnId
from actorllama.native import ContextOptions, ModelOptions, SamplingParams, StepBatch
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_context import FakeContext
from tests.engine.desk_rig import state_of

TOKENS = (5, 6, 7, 8)
START = StartTurn(
    turn_id=TurnId(1), seq_id=SeqId(0), prompt=(*TOKENS, 9), sampling=SamplingParams(), max_tokens=1
)
SAVED = RestoredState(kv=state_of(TOKENS), n_cells=4, source="ram")


@pytest.fixture
def context(fake_backend: FakeBackend) -> Iterator[FakeContext]:
    model = fake_backend.load(Path("x.gguf"), ModelOptions(), lambda _fraction: True)
    context = model.open_context(ContextOptions(n_seq=2, ctx_per_seq=16))
    context.decode(StepBatch(tokens=TOKENS, positions=range(4), seq_ids=[0] * 4, outputs=[3]))
    yield context
    context.close()
    model.close()


def test_live_cells_stay_and_the_rest_is_taken_back(context: FakeContext) -> None:
    begun = SequenceCells(context).begin(evolve(START, n_live=3))
    assert begun[:2] == (3, "live")
    assert context.tokens_held(0) == [5, 6, 7]


def test_without_live_cells_whatever_was_there_is_cleared(context: FakeContext) -> None:
    assert SequenceCells(context).begin(START) == (0, None, 0.0)
    assert context.tokens_held(0) == []


def test_saved_cells_are_put_into_the_sequence(context: FakeContext) -> None:
    begun = SequenceCells(context).begin(evolve(START, seq_id=SeqId(1), restore=SAVED))
    assert begun[:2] == (4, "ram")
    assert context.tokens_held(1) == [5, 6, 7, 8]


@pytest.mark.parametrize("kv", [b"", b"FAKE", bytes(state_of(TOKENS))[:-1], bytes(state_of(TOKENS[:3]))])
def test_saved_cells_that_are_none_are_computed_again(context: FakeContext, kv: bytes) -> None:
    begun = SequenceCells(context).begin(evolve(START, restore=evolve(SAVED, kv=kv)))
    assert begun == (0, None, 0.0)
    assert context.tokens_held(0) == []


def test_a_sequence_that_holds_less_than_its_owner_believes_is_in_doubt(context: FakeContext) -> None:
    with pytest.raises(StateError):
        SequenceCells(context).begin(evolve(START, n_live=5))


def test_a_copy_can_be_restored_elsewhere(context: FakeContext) -> None:
    kv = SequenceCells(context).capture(0)
    context.set_state(1, kv, n_cells=4)
    assert context.tokens_held(1) == context.tokens_held(0)


def test_pages_of_a_copy_that_is_gone_are_kept_for_the_next_until_they_are_dropped(
    fake_backend: FakeBackend,
) -> None:
    n = 1 << 15
    model = fake_backend.load(Path("x.gguf"), ModelOptions(), lambda _fraction: True)
    context = model.open_context(ContextOptions(n_seq=1, ctx_per_seq=n, n_batch=n))
    context.decode(StepBatch(tokens=[5] * n, positions=range(n), seq_ids=[0] * n, outputs=[n - 1]))
    cells = SequenceCells(context)
    copy = cells.capture(0)
    assert cells.scratch_bytes == 0
    n_bytes = len(copy)
    del copy
    offered = cells.scratch_bytes
    assert offered >= n_bytes
    assert cells.drop_scratch(1 << 16) == 1 << 16
    assert cells.drop_scratch(1 << 30) == offered - (1 << 16)
    assert cells.scratch_bytes == 0
    context.close()
    model.close()
