"""The network as plain functions over named tensors.

No module classes: the weights are one mapping keyed by GGUF tensor names, so export is a walk over it and
there is no second naming to keep in step. Imported by `actorllama.demo.trainer` only, because it needs torch.
"""

# torch comes with an extra only, so a checker that lacks it knows no type from there.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from actorllama.demo.export import ModelShape

__all__ = ["logits_of", "new_weights"]


def new_weights(shape: ModelShape, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw initial weights: normal matrices, those that write to the residual stream scaled down by depth."""

    def matrix(n_out: int, n_in: int, scale: float = 1.0) -> Tensor:
        deviation = scale / math.sqrt(n_in)
        return (torch.randn(n_out, n_in, generator=generator) * deviation).requires_grad_()

    def ones() -> Tensor:
        return torch.ones(shape.n_embd, requires_grad=True)

    n_kv = shape.n_head_kv * shape.head_dim
    residual = 1.0 / math.sqrt(2 * shape.n_layer)
    embedding = torch.randn(shape.n_vocab, shape.n_embd, generator=generator) * 0.02
    weights = {"token_embd.weight": embedding.requires_grad_(), "output_norm.weight": ones()}
    for i in range(shape.n_layer):
        block = f"blk.{i}."
        weights[block + "attn_norm.weight"] = ones()
        weights[block + "attn_q.weight"] = matrix(shape.n_embd, shape.n_embd)
        weights[block + "attn_k.weight"] = matrix(n_kv, shape.n_embd)
        weights[block + "attn_v.weight"] = matrix(n_kv, shape.n_embd)
        weights[block + "attn_output.weight"] = matrix(shape.n_embd, shape.n_embd, residual)
        weights[block + "ffn_norm.weight"] = ones()
        weights[block + "ffn_gate.weight"] = matrix(shape.n_ff, shape.n_embd)
        weights[block + "ffn_up.weight"] = matrix(shape.n_ff, shape.n_embd)
        weights[block + "ffn_down.weight"] = matrix(shape.n_embd, shape.n_ff, residual)
    return weights


def logits_of(
    weights: Mapping[str, Tensor], tokens: Tensor, shape: ModelShape, *, wanted: Tensor | None = None
) -> Tensor:
    """Predict the next token at every position.

    Args:
        weights: As made by `new_weights`.
        tokens: Token ids, shape ``(n_rows, n_tokens)``.
        shape: The hyperparameters.
        wanted: Mask of the positions to predict at, shape ``(n_rows, n_tokens)``; ``None`` means all.

    Returns:
        Logits, shape ``(n_rows, n_tokens, n_vocab)``, or ``(n_wanted, n_vocab)``.
    """
    rotation = _rotation(tokens.shape[1], shape)
    hidden = weights["token_embd.weight"][tokens]
    for i in range(shape.n_layer):
        block = f"blk.{i}."
        normed = _rms_norm(hidden, weights[block + "attn_norm.weight"], shape)
        hidden = hidden + _attention(weights, block, normed, rotation, shape)
        normed = _rms_norm(hidden, weights[block + "ffn_norm.weight"], shape)
        gate = functional.silu(functional.linear(normed, weights[block + "ffn_gate.weight"]))
        up = functional.linear(normed, weights[block + "ffn_up.weight"])
        hidden = hidden + functional.linear(gate * up, weights[block + "ffn_down.weight"])
    normed = _rms_norm(hidden, weights["output_norm.weight"], shape)
    if wanted is not None:
        normed = normed[wanted]
    return functional.linear(normed, weights["token_embd.weight"])


def _rms_norm(hidden: Tensor, weight: Tensor, shape: ModelShape) -> Tensor:
    return functional.rms_norm(hidden, (shape.n_embd,), weight, shape.rms_epsilon)


def _rotation(n_tokens: int, shape: ModelShape) -> tuple[Tensor, Tensor]:
    exponents = torch.arange(0, shape.head_dim, 2) / shape.head_dim
    angles = torch.outer(torch.arange(n_tokens).float(), shape.rope_base**-exponents)
    return angles.cos(), angles.sin()


def _rotated(vectors: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate pairs of neighbours: llama.cpp's convention for ``llama``, so that export permutes nothing."""
    cos, sin = rotation  # kept in float32: half precision blurs far positions
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


def _attention(
    weights: Mapping[str, Tensor],
    block: str,
    normed: Tensor,
    rotation: tuple[Tensor, Tensor],
    shape: ModelShape,
) -> Tensor:
    def heads(name: str, n_heads: int) -> Tensor:
        flat = functional.linear(normed, weights[f"{block}attn_{name}.weight"])
        return flat.unflatten(-1, (n_heads, shape.head_dim)).transpose(1, 2)

    n_shared = shape.n_head // shape.n_head_kv
    query = _rotated(heads("q", shape.n_head), rotation)
    key = _rotated(heads("k", shape.n_head_kv), rotation).repeat_interleave(n_shared, dim=1)
    value = heads("v", shape.n_head_kv).repeat_interleave(n_shared, dim=1)
    mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return functional.linear(mixed.transpose(1, 2).flatten(-2), weights[block + "attn_output.weight"])
