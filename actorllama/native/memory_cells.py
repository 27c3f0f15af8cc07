"""What one cell of a context takes in each layer."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from actorllama.native.gguf_facts import GgufFacts
from actorllama.native.gguf_types import TENSOR_TYPES, TensorType

__all__ = ["cell_bytes_of_layers"]

_BY_NAME: Final = MappingProxyType({kind.name.lower(): kind for kind in TENSOR_TYPES.values()})


def cell_bytes_of_layers(
    facts: GgufFacts, *, type_k: str, type_v: str, flash_attention: bool
) -> tuple[int, ...]:
    """Count the bytes of one cell in each layer, 0 where a layer keeps no keys.

    Without flash attention values lie transposed, and every layer's are as wide as the widest layer's
    (`llama_kv_cache`). A row that is no whole number of blocks is rounded up; llama.cpp refuses it.

    Args:
        facts: The model.
        type_k: What keys are stored as, by ggml's name.
        type_v: What values are stored as.
        flash_attention: Whether values lie row by row.

    Raises:
        ValueError: There is no such type.
    """
    kind_k, kind_v = _kind(type_k), _kind(type_v)
    layers = facts.layers
    widths = [
        (n * (facts.key_width_swa if is_near else facts.key_width),
         n * (facts.value_width_swa if is_near else facts.value_width))
        for n, is_near in zip(layers.heads_kv, layers.is_windowed, strict=True)
    ]  # fmt: skip
    widest = max((value for _, value in widths), default=0)
    found: list[int] = []
    for n, (key, value) in zip(layers.heads_kv, widths, strict=True):
        if not n:
            found.append(0)
        elif facts.is_latent:  # one compressed row stands for all heads' keys and values
            found.append(_bytes(key // n, kind_k))
        else:
            found.append(_bytes(key, kind_k) + _bytes(value if flash_attention else widest, kind_v))
    return tuple(found)


def _kind(name: str) -> TensorType:
    kind = _BY_NAME.get(name.lower())
    if kind is None:
        raise ValueError(f"there is no tensor type {name!r}; there are {', '.join(_BY_NAME)}")
    return kind


def _bytes(n: int, kind: TensorType) -> int:
    return -(-n // kind.block_weights) * kind.block_bytes
