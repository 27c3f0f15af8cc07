"""The tensors in a GGUF file: their types and the few shapes that llama.cpp asserts instead of checking.

llama.cpp compares every tensor's shape with what the numbers in the metadata ask for, and refuses politely;
what a tensor's numbers are stored as it does not ask, and an operator that cannot work with them ends the
process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actorllama.native.families import MAMBA2
from actorllama.native.gguf import GgufTensor
from actorllama.native.gguf_view import GgufView

__all__ = ["check_weights"]

# Matrices may be stored as any of these. The others are for intermediate results and for whole numbers.
_WEIGHT_TYPE_NAMES: Final = """
    F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ1_S
    IQ1_M IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4 NVFP4 Q1_0 Q2_0
"""
_WEIGHT_TYPES: Final = frozenset(_WEIGHT_TYPE_NAMES.split())
# Small tensors with two dimensions that take part in sums and products number by number.
_ELEMENTWISE: Final = (
    "_norm.weight",
    "ssm_a",
    "ssm_d",
    "ssm_conv1d.weight",
    "shortconv.conv.weight",
    "rope_freqs.weight",
    ".bias",
)
_INDEX_SUFFIXES: Final = ("tid2eid",)


def check_weights(view: GgufView, tensors: Mapping[str, GgufTensor], *, n_tokens: int, n_embd: int) -> None:
    """Refuse tensors that llama.cpp would stumble over.

    Args:
        view: The metadata.
        tensors: The tensors of all parts of the model.
        n_tokens: Size of the vocabulary.
        n_embd: Width of the model.

    Raises:
        ModelLoadError: Names the tensor and what is wrong with it.
    """
    embedding = tensors.get("token_embd.weight")
    if embedding is None:
        raise view.refuse("it has no token embedding", hint="Load the model file, not a part of it.")
    if embedding.shape != (n_embd, n_tokens):
        raise view.refuse(
            f"its token embedding has the shape {embedding.shape}, "
            f"and {n_tokens} tokens of width {n_embd} were announced"
        )
    for tensor in tensors.values():
        _check_type(view, tensor)
        if view.architecture in MAMBA2 and tensor.name.endswith("ssm_conv1d.weight"):
            bias = tensor.name.removesuffix("weight") + "bias"
            if bias not in tensors:  # llama.cpp calls it optional and then adds it
                raise view.refuse(f"tensor {bias} is missing")


def _check_type(view: GgufView, tensor: GgufTensor) -> None:
    if tensor.name.endswith(_INDEX_SUFFIXES):
        return
    is_vector = sum(size > 1 for size in tensor.shape) <= 1
    if is_vector or tensor.name.endswith(_ELEMENTWISE):
        if tensor.type.name != "F32":
            raise view.refuse(f"tensor {tensor.name} is stored as {tensor.type.name} and must be F32")
    elif tensor.type.name not in _WEIGHT_TYPES:
        raise view.refuse(
            f"tensor {tensor.name} is stored as {tensor.type.name}, in which no weights are kept"
        )
