"""Where in saved bytes the rows of numbers lie that a lossy codec may touch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from attrs import frozen

__all__ = ["ELEMENT_BYTES", "ElementKind", "RowSpan", "checked_spans"]

ElementKind: TypeAlias = Literal["f16", "f32"]

ELEMENT_BYTES: Final[dict[ElementKind, int]] = {"f16": 2, "f32": 4}


@frozen(kw_only=True)
class RowSpan:
    """A run of KV values of one kind, one after another; little-endian."""

    offset: int
    """First byte, from the beginning of what is encoded."""
    n_bytes: int
    element: ElementKind

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.offset + self.n_bytes


def checked_spans(spans: Iterable[RowSpan], *, n_bytes: int) -> tuple[RowSpan, ...]:
    """Return the spans that hold anything, in order.

    Raises:
        ValueError: They overlap, are not ascending, leave the ``n_bytes``, or cut a value in two.
    """
    found: list[RowSpan] = []
    end = 0
    for span in spans:
        if span.element not in ELEMENT_BYTES:
            raise ValueError(f"a span of {span.element!r}: only f16 and f32 can be encoded")
        if span.n_bytes < 0 or span.n_bytes % ELEMENT_BYTES[span.element]:
            raise ValueError(f"a span of {span.n_bytes} bytes does not hold whole {span.element} values")
        if not end <= span.offset or span.end > n_bytes:
            raise ValueError(f"span {span.offset} to {span.end} overlaps or leaves the {n_bytes} bytes")
        end = span.end
        if span.n_bytes:
            found.append(span)
    return tuple(found)
