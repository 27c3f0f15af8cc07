"""Blocks of 32 values with one scale: the arithmetic of the q8 codec."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from actorllama.kvcache.codec_span import ELEMENT_BYTES, ElementKind

__all__ = ["BLOCK_VALUES", "encoded_bytes", "is_finite", "pack_values", "unpack_values"]

BLOCK_VALUES: Final = 32
_TURN_VALUES: Final = 1 << 16  # a turn's temporaries stay in the processor's cache
_LEVELS: Final = 127
_F16_INFINITY: Final = 0x7C00
_F16_MAGNITUDE: Final = 0x7FFF
_F32_INFINITY: Final = 0x7F80_0000
_F32_MAGNITUDE: Final = 0x7FFF_FFFF

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float16] | NDArray[np.float32]


def encoded_bytes(n_values: int, *, element: ElementKind) -> int:
    """Count the bytes of so many values with their scales."""
    n_blocks = -(-n_values // BLOCK_VALUES)
    return n_blocks * ELEMENT_BYTES[element] + n_values


def is_finite(raw: Bytes, *, element: ElementKind) -> bool:
    """Tell whether no value is an infinity or a NaN."""
    # Of floats without their sign the larger has the larger bits: a maximum is all that is needed.
    if element == "f16":
        half = raw.view(np.uint16)
        return all(
            int((half[first : first + _TURN_VALUES] & _F16_MAGNITUDE).max()) < _F16_INFINITY
            for first in range(0, len(half), _TURN_VALUES)
        )
    bits = raw.view(np.uint32)
    return all(
        int((bits[first : first + _TURN_VALUES] & _F32_MAGNITUDE).max()) < _F32_INFINITY
        for first in range(0, len(bits), _TURN_VALUES)
    )


def pack_values(raw: Bytes, into: Bytes, *, element: ElementKind) -> None:
    """Encode finite values into exactly `encoded_bytes` bytes."""
    values = _floats(raw, element)
    scales_bytes = len(into) - len(values)
    scales, levels = _floats(into[:scales_bytes], element), into[scales_bytes:].view(np.int8)
    for first in range(0, len(values), _TURN_VALUES):
        end = min(first + _TURN_VALUES, len(values))
        blocks = _blocks(values[first:end])
        scale = _scales(blocks, element)
        at = first // BLOCK_VALUES
        scales[at : at + len(scale)] = scale
        # Where the scale is zero so is every value, or nearly: a step of 1 makes them zero.
        step = np.where(scale > 0, scale, np.float32(1))[:, np.newaxis]
        np.divide(blocks, step, out=blocks)
        np.rint(blocks, out=blocks)
        np.clip(blocks, -_LEVELS, _LEVELS, out=blocks)  # an f32 scale may have been rounded down
        levels[first:end] = blocks.astype(np.int8).reshape(-1)[: end - first]


def unpack_values(encoded: Bytes, into: Bytes, *, element: ElementKind) -> None:
    """Decode what `pack_values` wrote.

    Raises:
        ValueError: A scale is negative or no finite number.
    """
    values = _floats(into, element)
    scales_bytes = len(encoded) - len(values)
    scales, levels = _floats(encoded[:scales_bytes], element), encoded[scales_bytes:].view(np.int8)
    if not bool((np.isfinite(scales) & (scales >= 0)).all()):
        raise ValueError("a scale is negative or no finite number")
    # Rounded up, a scale times 127 may lie just above the largest number that its kind has.
    limit = np.float32(np.finfo(values.dtype).max)
    for first in range(0, len(values), _TURN_VALUES):
        end = min(first + _TURN_VALUES, len(values))
        blocks = _blocks(levels[first:end])
        at = first // BLOCK_VALUES
        with np.errstate(over="ignore"):
            np.multiply(blocks, _widened(scales[at : at + len(blocks)]), out=blocks)
        np.clip(blocks, -limit, limit, out=blocks)
        values[first:end] = blocks.reshape(-1)[: end - first]


def _floats(raw: Bytes, element: ElementKind) -> Floats:
    return raw.view(np.float16) if element == "f16" else raw.view(np.float32)


def _blocks(values: Floats | NDArray[np.int8]) -> NDArray[np.float32]:
    """Copy values into rows of 32; the last row is filled up with zeros."""
    n_blocks = -(-len(values) // BLOCK_VALUES)
    blocks = np.empty((n_blocks, BLOCK_VALUES), dtype=np.float32)
    flat = blocks.reshape(-1)
    flat[: len(values)] = values
    flat[len(values) :] = 0
    return blocks


def _scales(blocks: NDArray[np.float32], element: ElementKind) -> NDArray[np.float32]:
    """Give each block the smallest scale with which its largest value is at most 127 steps."""
    # numpy is five times faster at the maxima of columns of integers than at those of short rows of floats.
    columns = np.ascontiguousarray((blocks.view(np.uint32) & _F32_MAGNITUDE).T)
    exact: NDArray[np.float32] = columns.max(axis=0).view(np.float32) / np.float32(_LEVELS)
    if element == "f32":
        return exact
    scale: NDArray[np.float16] = exact.astype(np.float16)
    is_short = scale < exact
    scale[is_short] = np.nextafter(scale[is_short], np.float16(np.inf))
    return scale.astype(np.float32)


def _widened(scales: Floats) -> NDArray[np.float32]:
    return scales.astype(np.float32)[:, np.newaxis]
