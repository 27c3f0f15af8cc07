"""The types that a GGUF file can hold: of metadata values and of tensors.

The tables are llama.cpp's own (`gguf.h`, `ggml.h` of the pinned build); the tests compare them with the gguf
package and with the loaded library, so an upgrade that moves a type is seen. They are written out here
because importing the gguf package takes 60 ms and its release for this build lacks two tensor types.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import Final

from attrs import frozen

__all__ = ["SCALAR_FORMATS", "TENSOR_TYPES", "TensorType", "ValueType"]


class ValueType(IntEnum):
    """The type of a metadata value, by its number in the file."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


SCALAR_FORMATS: Final = MappingProxyType[ValueType, str](
    {
        ValueType.UINT8: "B",
        ValueType.INT8: "b",
        ValueType.UINT16: "H",
        ValueType.INT16: "h",
        ValueType.UINT32: "I",
        ValueType.INT32: "i",
        ValueType.FLOAT32: "f",
        ValueType.BOOL: "?",
        ValueType.UINT64: "Q",
        ValueType.INT64: "q",
        ValueType.FLOAT64: "d",
    }
)
"""How `struct` reads each scalar, little-endian."""


@frozen(kw_only=True)
class TensorType:
    """How a tensor's numbers are stored: in blocks of so many weights, each block so many bytes."""

    name: str
    block_weights: int
    block_bytes: int


def _table() -> dict[int, TensorType]:
    rows = (
        (0, "F32", 1, 4),
        (1, "F16", 1, 2),
        (2, "Q4_0", 32, 18),
        (3, "Q4_1", 32, 20),
        (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34),
        (9, "Q8_1", 32, 36),
        (10, "Q2_K", 256, 84),
        (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144),
        (13, "Q5_K", 256, 176),
        (14, "Q6_K", 256, 210),
        (15, "Q8_K", 256, 292),
        (16, "IQ2_XXS", 256, 66),
        (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50),
        (20, "IQ4_NL", 32, 18),
        (21, "IQ3_S", 256, 110),
        (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136),
        (24, "I8", 1, 1),
        (25, "I16", 1, 2),
        (26, "I32", 1, 4),
        (27, "I64", 1, 8),
        (28, "F64", 1, 8),
        (29, "IQ1_M", 256, 56),
        (30, "BF16", 1, 2),
        (34, "TQ1_0", 256, 54),
        (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17),
        (40, "NVFP4", 64, 36),
        (41, "Q1_0", 128, 18),
        (42, "Q2_0", 64, 18),
    )
    return {
        number: TensorType(name=name, block_weights=weights, block_bytes=n_bytes)
        for number, name, weights, n_bytes in rows
    }


TENSOR_TYPES: Final = MappingProxyType[int, TensorType](_table())
"""The types that this llama.cpp build knows, by their number in the file; the gaps were withdrawn."""
