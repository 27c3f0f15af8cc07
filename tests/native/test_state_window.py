"""Which cell a restored row is put into, decided without llama.cpp."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from actorllama.native.state_layout import read_state
from actorllama.native.state_reader import SectionKind, read_sections
from actorllama.native.state_window import first_real_position, padded_window, window_cells

N_SWA = 8
N_STREAM = 2
KINDS: tuple[SectionKind, ...] = ("attention", "window")


def attention(first: int, end: int, *, is_transposed: bool) -> bytes:
    """Write a section with one layer; a cell's key is its position twice, its value three times."""
    n = end - first
    positions = np.arange(first, end, dtype="<u2")
    cells = b"".join(struct.pack("<iIi", position, 1, 0) for position in range(first, end))
    values = np.repeat(positions[:, None], 3, axis=1)
    return b"".join(
        (
            struct.pack("<II", N_STREAM, n),
            cells,
            struct.pack("<II", is_transposed, 1),
            struct.pack("<iQ", 1, 4) + np.repeat(positions, 2).tobytes(),
            (struct.pack("<iII", 1, 2, 3) + values.T.tobytes())
            if is_transposed
            else (struct.pack("<iQ", 1, 6) + values.tobytes()),
            bytes(4 * (N_STREAM - 1)),
        )
    )


def state_of(n_cells: int, *, is_transposed: bool) -> memoryview:
    first = max(0, n_cells - N_SWA)
    return memoryview(
        struct.pack("<Ii", 0xAF143CD8, 0)
        + attention(0, n_cells, is_transposed=is_transposed)
        + attention(first, n_cells, is_transposed=is_transposed)
    )


@pytest.mark.parametrize("is_transposed", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("n_window_cells", [16, 13])
@pytest.mark.parametrize("n_cells", range(1, 60))
def test_each_row_lies_in_the_cell_of_its_position(
    n_cells: int, n_window_cells: int, *, is_transposed: bool
) -> None:
    data = state_of(n_cells, is_transposed=is_transposed)
    spans = read_sections(data, KINDS, n_stream=N_STREAM)
    skipped = max(0, n_cells - N_SWA)
    assert first_real_position(spans, n_cells=n_cells) == skipped
    padded = padded_window(data, spans, n_cells=n_cells, n_window_cells=n_window_cells, n_stream=N_STREAM)
    if not skipped:
        assert padded is None
        return
    assert padded is not None
    (window,) = read_state(padded, ("window",), n_stream=N_STREAM)
    assert len(window.positions) == min(n_cells, n_window_cells)
    (span,) = read_sections(padded, ("window",), n_stream=N_STREAM)
    keys, values = (np.frombuffer(padded, "<u2")[row.offset // 2 :] for row in span.rows)
    n = len(window.positions)
    for cell, position in enumerate(window.positions):
        assert position % n_window_cells == cell
        is_real = skipped <= position < n_cells
        assert keys[2 * cell : 2 * cell + 2].tolist() == [position * is_real] * 2
        value = values[cell : 3 * n : n] if is_transposed else values[3 * cell : 3 * cell + 3]
        assert value.tolist() == [position * is_real] * 3
    # The cell that comes next is free: llama.cpp goes on there.
    assert (n_cells in window.positions) == (n_cells >= n_window_cells)


def test_a_state_that_fills_more_than_the_window_memory_is_left_as_it_is() -> None:
    data = state_of(20, is_transposed=False)
    spans = read_sections(data, KINDS, n_stream=N_STREAM)
    assert padded_window(data, spans, n_cells=20, n_window_cells=N_SWA, n_stream=N_STREAM) is None


def test_without_a_window_every_row_is_real() -> None:
    data = state_of(20, is_transposed=False)
    spans = read_sections(data, KINDS, n_stream=N_STREAM)
    assert first_real_position(spans[:1], n_cells=20) == 0


@pytest.mark.parametrize(
    ("n_ctx_seq", "n_swa", "n_ubatch", "is_full", "expected"),
    [
        (4096, 1024, 512, True, 4096),
        (4096, 1024, 512, False, 1536),
        (4096, 1024, 32, False, 1280),
        (1024, 1024, 512, False, 1024),
        (1024, 32, 64, False, 256),
    ],
)
def test_the_window_memory_is_as_large_as_llama_cpp_makes_it(
    n_ctx_seq: int, n_swa: int, n_ubatch: int, *, is_full: bool, expected: int
) -> None:
    got = window_cells(n_ctx_seq=n_ctx_seq, n_swa=n_swa, n_ubatch=n_ubatch, is_full=is_full)
    assert got == expected
