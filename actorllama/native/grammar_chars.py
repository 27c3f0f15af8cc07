"""Sets of characters, and how they are spelled in UTF-8 and in GBNF."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ANY",
    "Ranges",
    "Utf8Steps",
    "complement",
    "normalised",
    "spelled_set",
    "spelled_text",
    "utf8_steps",
]

Ranges = tuple[tuple[int, int], ...]
"""Code points as inclusive ranges, ascending and apart."""

Utf8Steps = tuple[tuple[int, int], ...]
"""One byte range per byte of a character."""

_LAST = 0x10FFFF
ANY: Ranges = ((1, 0xD7FF), (0xE000, _LAST))
"""Every character but U+0000, which no token text can hold in llama.cpp."""


def normalised(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return the same code points, ascending and merged, without U+0000 and surrogates."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(_clipped(ranges)):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def _clipped(ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for low, high in ranges:
        for first, last in ANY:
            if max(low, first) <= min(high, last):
                yield max(low, first), min(high, last)


def complement(ranges: Ranges) -> Ranges:
    """Return every character that is not in these ranges."""
    gaps: list[tuple[int, int]] = []
    at = 1
    for low, high in ranges:
        gaps.append((at, low - 1))
        at = high + 1
    gaps.append((at, _LAST))
    return normalised(gap for gap in gaps if gap[0] <= gap[1])


def utf8_steps(ranges: Ranges) -> list[Utf8Steps]:
    """Return byte ranges that spell exactly these characters.

    Source: the splitting of ranges in Rust's utf8-ranges, after Russ Cox's for RE2.
    """
    found: list[Utf8Steps] = []
    todo = list(reversed(ranges))
    while todo:
        low, high = todo.pop()
        parts = _split(low, high)
        if parts is not None:
            todo.extend(reversed(parts))
        else:
            found.append(tuple(zip(chr(low).encode(), chr(high).encode(), strict=True)))
    return found


def _split(low: int, high: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Cut a range in two where its bytes do not move together; ``None`` if they do."""
    for last in (0x7F, 0x7FF, 0xFFFF):
        if low <= last < high:
            return (low, last), (last + 1, high)
    if high <= 0x7F:
        return None
    for n_bits in (6, 12, 18):
        mask = (1 << n_bits) - 1
        if low & ~mask != high & ~mask:
            if low & mask:
                return (low, low | mask), ((low | mask) + 1, high)
            if high & mask != mask:
                return (low, (high & ~mask) - 1), (high & ~mask, high)
    return None


def spelled_text(text: str) -> str:
    """Spell a text as a GBNF literal."""
    return '"' + "".join(_spelled(ord(character)) for character in text) + '"'


def spelled_set(ranges: Ranges) -> str:
    """Spell a set of characters as a GBNF class."""
    parts = [_spelled(low) if low == high else f"{_spelled(low)}-{_spelled(high)}" for low, high in ranges]
    return f"[{''.join(parts)}]"


def _spelled(code: int) -> str:
    character = chr(code)
    if character.isascii() and (character.isalnum() or character in " _,.:;/=<>(){}+*?!@#$%&'|~"):
        return character
    if code < 0x100:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
