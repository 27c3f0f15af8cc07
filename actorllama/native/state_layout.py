"""What a saved sequence state must look like, checked before llama.cpp sees one byte of it.

llama.cpp's reader accepts flipped payload bytes, absurd positions and trailing garbage (llama-notes
1.2). A checksum guards the bytes; this module guards the structure: which sections, how many cells, at
which positions, how long each row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from actorllama.errors import StateError
from actorllama.native.backend import ModelFacts
from actorllama.native.state_reader import SectionKind, SectionSpan, read_sections

__all__ = [
    "Section",
    "SectionKind",
    "StateLayout",
    "check_positions",
    "check_state",
    "read_state",
    "section_kinds",
]


@frozen(kw_only=True)
class Section:
    """One part of a state, without its payload.

    ``rows`` are the layers' records in file order: (ggml type, bytes per cell). They depend on the
    model and the context, not on the sequence; ``positions`` are the sequence's.
    """

    kind: SectionKind
    is_v_transposed: bool
    rows: tuple[tuple[int, int], ...]
    positions: tuple[int, ...]


@frozen(kw_only=True)
class StateLayout:
    """What all states of one context have in common."""

    n_stream: int
    shape: tuple[tuple[SectionKind, bool, tuple[tuple[int, int], ...]], ...]

    @classmethod
    def of(cls, sections: Sequence[Section], *, n_stream: int) -> StateLayout:
        """Take the layout from a state that this context has just written."""
        return cls(n_stream=n_stream, shape=tuple((s.kind, s.is_v_transposed, s.rows) for s in sections))


def section_kinds(facts: ModelFacts) -> tuple[SectionKind, ...]:
    """Say which sections a model's states have, in order (llama-notes 1.1)."""
    if facts.is_recurrent:
        return ("recurrent",)
    attention: tuple[SectionKind, ...] = ("attention", "window") if facts.n_swa > 0 else ("attention",)
    return (*attention, "recurrent") if facts.is_hybrid else attention


def read_state(data: memoryview, kinds: Sequence[SectionKind], *, n_stream: int) -> tuple[Section, ...]:
    """Take a state apart without copying its payload.

    Args:
        data: As ``get_state`` wrote it.
        kinds: From :func:`section_kinds`.
        n_stream: Streams of the context: 1 if shared, else its number of sequences.

    Raises:
        StateError: It is not such a state, down to the last byte.
    """
    return tuple(_summary(span) for span in read_sections(data, kinds, n_stream=n_stream))


def check_state(
    data: memoryview, layout: StateLayout, kinds: Sequence[SectionKind], *, n_cells: int
) -> tuple[SectionSpan, ...]:
    """Make sure that a state fits this context and holds exactly positions ``0 .. n_cells - 1``.

    A window section holds the last of them, a recurrent one stands at the last.

    Returns:
        Where its sections lie.

    Raises:
        StateError: It does not; llama.cpp must not see it.
    """
    spans = read_sections(data, kinds, n_stream=layout.n_stream)
    if StateLayout.of([_summary(span) for span in spans], n_stream=layout.n_stream) != layout:
        raise _refusal("was saved from another layout")
    check_positions(spans, n_cells=n_cells)
    return spans


def check_positions(spans: Sequence[SectionSpan], *, n_cells: int) -> None:
    """Make sure that these sections hold positions ``0 .. n_cells - 1``, each of them once.

    Raises:
        StateError: One holds others, or not the last ones.
    """
    for span in spans:
        n_held = len(span.positions)
        first = 0 if span.kind == "attention" else n_cells - n_held
        held = np.sort(span.positions)
        if first < 0 or n_held != n_cells - first or not np.array_equal(held, np.arange(first, n_cells)):
            raise _refusal(f"holds other positions than 0 to {n_cells - 1}")


def _summary(span: SectionSpan) -> Section:
    return Section(
        kind=span.kind,
        is_v_transposed=span.is_v_transposed,
        rows=tuple((row.ggml_type, row.cell_bytes) for row in span.rows),
        positions=tuple(span.positions.tolist()),
    )


def _refusal(reason: str) -> StateError:
    # Who restores empties the sequence before the state is read: this holds for a reader and for a restorer.
    return StateError(
        operation="set_state",
        reason=f"the saved state {reason}",
        hint="No sequence holds any of it; compute the prefix again.",
    )
