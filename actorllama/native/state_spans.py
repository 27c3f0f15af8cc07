"""Where the numbers lie in a whole state that llama.cpp wrote; `float_rows` says it of a stored piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from actorllama.native.state_parts import FloatRows
from actorllama.native.state_reader import SectionKind, read_sections

__all__ = ["PayloadSpan", "float_spans", "payload_spans"]

_F32: Final = 0
_F16: Final = 1


@frozen(kw_only=True)
class PayloadSpan:
    """One layer's keys, values or recurrent rows: all cells, one after the other."""

    kind: SectionKind
    ggml_type: int
    offset: int
    n_bytes: int


def payload_spans(
    data: memoryview, kinds: Sequence[SectionKind], *, n_stream: int
) -> tuple[PayloadSpan, ...]:
    """List everything in a state that is neither a header nor a position, ascending.

    Args:
        data: As ``get_state`` wrote it.
        kinds: From ``state_layout.section_kinds``.
        n_stream: Streams of the context: 1 if shared, else its number of sequences.

    Raises:
        StateError: It is not such a state, down to the last byte.
    """
    return tuple(
        PayloadSpan(
            kind=section.kind,
            ggml_type=row.ggml_type,
            offset=row.offset,
            n_bytes=row.cell_bytes * len(section.positions),
        )
        for section in read_sections(data, kinds, n_stream=n_stream)
        for row in section.rows
    )


def float_spans(data: memoryview, kinds: Sequence[SectionKind], *, n_stream: int) -> tuple[FloatRows, ...]:
    """Say where a state holds plain numbers that a lossy codec may round, ascending.

    Keys and values in f16 and f32; never recurrent rows, in which an error would stay for good.

    Raises:
        StateError: It is not such a state.
    """
    return tuple(
        FloatRows(
            offset=span.offset, n_bytes=span.n_bytes, element="f32" if span.ggml_type == _F32 else "f16"
        )
        for span in payload_spans(data, kinds, n_stream=n_stream)
        if span.kind != "recurrent" and span.ggml_type in {_F32, _F16} and span.n_bytes
    )
