"""A cutter knows what the sections of its context's states allow."""

from __future__ import annotations

import pytest

from actorllama.errors import StateError
from actorllama.native.state_cutter import LayoutCutter
from actorllama.native.state_reader import SectionKind


@pytest.mark.parametrize(
    ("kinds", "has_blocks", "needs_boundary"),
    [
        (("attention",), True, False),
        (("attention", "attention"), True, True),
        (("recurrent",), False, True),
        (("attention", "recurrent"), True, True),
    ],
)
def test_only_plain_attention_is_used_from_any_block(
    kinds: tuple[SectionKind, ...], has_blocks: bool, needs_boundary: bool
) -> None:
    cutter = LayoutCutter(kinds=kinds, n_stream=1)
    assert (cutter.has_blocks, cutter.needs_boundary) == (has_blocks, needs_boundary)


@pytest.mark.parametrize("data", [b"", b"no state", bytes(4096)])
def test_what_is_no_state_is_not_cut(data: bytes) -> None:
    cutter = LayoutCutter(kinds=("attention",), n_stream=1)
    with pytest.raises(StateError):
        cutter.split(memoryview(data), block_tokens=16)


def test_parts_that_are_none_are_not_put_together() -> None:
    cutter = LayoutCutter(kinds=("attention",), n_stream=1)
    with pytest.raises(StateError):
        cutter.join([memoryview(b"no block")], None)
