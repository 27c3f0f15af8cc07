"""The header that a stored piece of a state carries, so that putting it together needs nothing else."""

from __future__ import annotations

import struct
from typing import Final

from attrs import evolve, frozen

from actorllama.errors import StateError
from actorllama.native.state_parts import Element, FloatRows
from actorllama.native.state_reader import MAX_LAYERS, RowSpan, SectionKind, SectionSpan

__all__ = ["PartSection", "StatePart", "float_rows", "header_at", "read_part", "refusal"]


# Little-endian: magic, version, flags, number of sections, bytes of the header, first position, tokens, and
# bytes of the whole. Each section: kind, transposed or not, 0, layers, cells, rows. Each row: ggml type,
# elements (0: not transposed), bytes of a unit. Then zeros up to the payload.
_HEAD: Final = struct.Struct("<4sHBBIIIQ")
_SECTION: Final = struct.Struct("<BBHIII")
_ROW: Final = struct.Struct("<IIQ")
_MAGIC: Final = b"ALSP"
_VERSION: Final = 1
_FIRST_AT: Final = 12
_ALIGNMENT: Final = 64
_IS_BOUNDARY: Final = 1
_NEEDS_BOUNDARY: Final = 2
_KINDS: Final[tuple[SectionKind, ...]] = ("attention", "window", "recurrent")
_ELEMENTS: Final[dict[int, Element]] = {0: "f32", 1: "f16"}  # by ggml type
_MAX_POSITION: Final = 2**31 - 1


@frozen(kw_only=True)
class PartSection:
    """Some cells of one section; the rows' offsets count from the beginning of the part."""

    kind: SectionKind
    is_v_transposed: bool
    n_layer: int
    n_cells: int
    rows: tuple[RowSpan, ...]

    @classmethod
    def of(cls, span: SectionSpan, *, n_cells: int) -> PartSection:
        """Take a section's form, for this many of its cells."""
        return cls(
            kind=span.kind,
            is_v_transposed=span.is_v_transposed,
            n_layer=span.n_layer,
            n_cells=n_cells,
            rows=span.rows,
        )

    @property
    def form(self) -> tuple[object, ...]:
        """Give what pieces that belong together have in common."""
        rows = tuple((row.ggml_type, row.n_elements, row.unit_bytes) for row in self.rows)
        return (self.kind, self.is_v_transposed, self.n_layer, rows)

    @property
    def n_bytes(self) -> int:
        """Give the bytes of the rows."""
        return sum(row.cell_bytes for row in self.rows) * self.n_cells


@frozen(kw_only=True)
class StatePart:
    """A block or a boundary, without its rows.

    ``first`` is the position of the first of ``n_tokens`` tokens. Where ``needs_boundary``, the state has
    sections that cannot be cut, and no run of blocks can be used without the boundary behind it.
    """

    is_boundary: bool
    needs_boundary: bool
    first: int
    n_tokens: int
    sections: tuple[PartSection, ...]

    @property
    def end(self) -> int:
        """Give the position behind the last token."""
        return self.first + self.n_tokens

    @property
    def header_bytes(self) -> int:
        """Give the bytes in front of the rows."""
        tables = sum(_SECTION.size + _ROW.size * len(section.rows) for section in self.sections)
        return -(-(_HEAD.size + tables) // _ALIGNMENT) * _ALIGNMENT

    @property
    def n_bytes(self) -> int:
        """Give the bytes of the whole part."""
        return self.header_bytes + sum(section.n_bytes for section in self.sections)

    def placed(self) -> StatePart:
        """Lay the rows one after the other behind the header."""
        offset = self.header_bytes
        sections: list[PartSection] = []
        for section in self.sections:
            rows: list[RowSpan] = []
            for row in section.rows:
                rows.append(evolve(row, offset=offset))
                offset += row.cell_bytes * section.n_cells
            sections.append(evolve(section, rows=tuple(rows)))
        return evolve(self, sections=tuple(sections))

    def header(self) -> bytes:
        """Write the header; equal parts have equal headers."""
        flags = _IS_BOUNDARY * self.is_boundary | _NEEDS_BOUNDARY * self.needs_boundary
        numbers = (self.header_bytes, self.first, self.n_tokens, self.n_bytes)
        pieces = [_HEAD.pack(_MAGIC, _VERSION, flags, len(self.sections), *numbers)]
        for section in self.sections:
            kind = _KINDS.index(section.kind)
            counts = (section.n_layer, section.n_cells, len(section.rows))
            pieces.append(_SECTION.pack(kind, section.is_v_transposed, 0, *counts))
            pieces += [_ROW.pack(row.ggml_type, row.n_elements, row.unit_bytes) for row in section.rows]
        return b"".join(pieces).ljust(self.header_bytes, b"\0")


def read_part(payload: memoryview) -> StatePart:
    """Read the header of a stored piece, and make sure that the piece is as long as it says.

    Raises:
        StateError: It is no such piece, or of another version, or damaged where that can be seen. Flipped
            bytes in the rows are the business of the caller's checksum.
    """
    try:
        part = _parsed(payload)
    except (struct.error, IndexError) as exc:
        raise refusal("ends too early") from exc
    if part.n_bytes != len(payload) or bytes(payload[: part.header_bytes]) != part.header():
        raise refusal("does not agree with its own header")
    _check_sense(part)
    return part


def float_rows(payload: memoryview) -> tuple[FloatRows, ...]:
    """Say where a piece holds plain numbers, ascending: what a lossy codec may round.

    Keys and values in f16 and f32; never recurrent rows, in which an error would stay for good.

    Raises:
        StateError: It is no piece of a state.
    """
    return tuple(
        FloatRows(
            offset=row.offset, n_bytes=row.cell_bytes * section.n_cells, element=_ELEMENTS[row.ggml_type]
        )
        for section in read_part(payload).sections
        if section.kind != "recurrent"
        for row in section.rows
        if row.ggml_type in _ELEMENTS and section.n_cells
    )


def header_at(header: bytes, first: int) -> bytes:
    """Write the header of a part that differs from this one in nothing but where it begins."""
    return header[:_FIRST_AT] + struct.pack("<I", first) + header[_FIRST_AT + 4 :]


def refusal(reason: str) -> StateError:
    """Make the error for pieces that cannot be used."""
    hint = "No sequence holds any of it; compute the prefix again."
    return StateError(operation="join_state", reason=f"a piece of the saved state {reason}", hint=hint)


def _parsed(payload: memoryview) -> StatePart:
    magic, version, flags, n_sections, header_bytes, first, n_tokens, _ = _HEAD.unpack_from(payload)
    if magic != _MAGIC or version != _VERSION:
        raise refusal("does not begin like one, or is of another version")
    if not _HEAD.size <= header_bytes <= len(payload):
        raise refusal("ends too early")
    offset = _HEAD.size
    sections: list[PartSection] = []
    for _section in range(n_sections):
        kind: int
        kind, is_transposed, _zero, n_layer, n_cells, n_rows = _SECTION.unpack_from(payload, offset)
        offset += _SECTION.size
        if offset + n_rows * _ROW.size > header_bytes:
            raise refusal("claims more rows than its header has room for")
        rows = _ROW.iter_unpack(payload[offset : offset + n_rows * _ROW.size])
        offset += n_rows * _ROW.size
        sections.append(
            PartSection(
                kind=_KINDS[kind],
                is_v_transposed=bool(is_transposed),
                n_layer=n_layer,
                n_cells=n_cells,
                rows=tuple(
                    RowSpan(ggml_type=ggml_type, n_elements=n_elements, unit_bytes=unit_bytes, offset=0)
                    for ggml_type, n_elements, unit_bytes in rows
                ),
            )
        )
    return StatePart(
        is_boundary=bool(flags & _IS_BOUNDARY),
        needs_boundary=bool(flags & _NEEDS_BOUNDARY),
        first=first,
        n_tokens=n_tokens,
        sections=tuple(sections),
    ).placed()


def _check_sense(part: StatePart) -> None:
    """Refuse what no state can have, though it were written like this; nothing huge is believed."""
    if not 0 < part.end <= _MAX_POSITION or not (part.n_tokens or part.is_boundary):
        raise refusal(f"claims positions {part.first} to {part.end - 1}")
    kinds = [section.kind for section in part.sections]
    if len(set(kinds)) != len(kinds) or kinds != sorted(kinds, key=_KINDS.index) or not kinds:
        raise refusal("has sections in an order that no state has")
    if part.is_boundary:
        if part.needs_boundary != (kinds != ["attention"]):
            raise refusal("does not know whether it is needed")
    elif kinds != ["attention"]:
        raise refusal("is a block with more than attention rows")
    for section in part.sections:
        expected = {"attention": part.n_tokens, "recurrent": 1}.get(section.kind, section.n_cells)
        if section.n_cells != expected or section.n_cells > part.end:
            raise refusal(f"claims {section.n_cells} cells")
        if section.kind == "window" and not section.n_cells:
            raise refusal("has an empty window")
        _check_rows(section)


def _check_rows(section: PartSection) -> None:
    n_layer, n_rows = section.n_layer, len(section.rows)
    if not 0 < n_layer <= MAX_LAYERS or not any(row.cell_bytes for row in section.rows):
        raise refusal(f"claims {n_layer} layers or rows without bytes")
    if section.kind == "recurrent":
        n_plain = n_rows
    elif n_rows in {n_layer, 2 * n_layer}:
        n_plain = n_layer if section.is_v_transposed else n_rows
    else:
        raise refusal(f"claims {n_layer} layers and {n_rows} rows")
    for index, row in enumerate(section.rows):
        if bool(row.n_elements) != (index >= n_plain) or (row.n_elements and row.unit_bytes >= 2**32):
            raise refusal("has rows that lie in another way than it says")
    if section.kind == "recurrent" and section.is_v_transposed:
        raise refusal("has transposed recurrent rows")
