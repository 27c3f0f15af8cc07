"""The fake's states are cut as real ones are."""

from __future__ import annotations

import pytest

from actorllama.errors import StateError
from actorllama.testing.fake_cutter import FakeCutter
from tests.engine.desk_rig import state_of

CUTTER = FakeCutter()


@pytest.mark.parametrize("n_cells", range(10))
def test_a_state_that_was_cut_is_put_together_again(n_cells: int) -> None:
    state = state_of(range(20, 20 + n_cells))
    parts = CUTTER.split(state, block_tokens=4)
    assert (parts.n_cells, len(parts.blocks)) == (n_cells, n_cells // 4)
    assert (parts.boundary is None) == (n_cells % 4 == 0)
    assert bytes(CUTTER.join(parts.blocks, parts.boundary)) == bytes(state)


def test_blocks_that_are_stored_already_are_left_out() -> None:
    state = state_of(range(11))
    whole, rest = (CUTTER.split(state, block_tokens=4, first_block=n) for n in (0, 1))
    assert rest.blocks == whole.blocks[1:]
    assert (rest.first_block, rest.boundary) == (1, whole.boundary)


@pytest.mark.parametrize("data", [b"", b"FAK", b"WRONG" + bytes(19), bytes(state_of([1]))[:-1]])
def test_what_is_no_state_is_not_cut(data: bytes) -> None:
    with pytest.raises(StateError, match="these bytes are no state"):
        CUTTER.split(memoryview(data), block_tokens=4)


def test_half_a_cell_is_not_put_together() -> None:
    with pytest.raises(StateError, match="no whole cells"):
        CUTTER.join([memoryview(bytes(15))], None)
