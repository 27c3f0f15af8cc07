"""Which tensors a family needs, with what shapes, and what random numbers keep its logits finite and telling.

Source: `load_arch_tensors` of each family in llama.cpp's `src/models/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final, Literal

from attrs import frozen

from actorllama.testing.random_shapes import ModelShape

__all__ = ["Fill", "TensorPlan", "family_hyperparameters", "plan_tensors"]

Fill = Literal["matrix", "vector", "ones", "decay"]

CONV_KERNEL: Final = 4
STATE_SIZE: Final = 16
SHORTCONV_LENGTH: Final = 3
_SHARP: Final = 2.0  # queries and keys: attention must prefer some cells, or a wrong cache would hardly show
_DECIDED: Final = 4.0  # output: the best token must win clearly, or greedy tests would hang on rounding


@frozen(kw_only=True)
class TensorPlan:
    """One tensor to write. ``shape`` is in ggml's order: the length of a row first."""

    name: str
    shape: tuple[int, ...]
    fill: Fill = "matrix"
    gain: float = 1.0


def plan_tensors(shape: ModelShape) -> Iterator[TensorPlan]:
    """Give every tensor of this shape, in file order.

    Raises:
        ValueError: Nothing is known about the shape's architecture.
    """
    layer = _LAYERS.get(shape.architecture)
    if layer is None:
        raise ValueError(f"cannot write {shape.architecture!r}; known are: {', '.join(_LAYERS)}")
    final_norm = "token_embd_norm" if shape.architecture == "lfm2" else "output_norm"
    yield TensorPlan(name="token_embd.weight", shape=(shape.n_embd, shape.n_vocab))
    yield TensorPlan(name=f"{final_norm}.weight", shape=(shape.n_embd,), fill="ones")
    # Not tied to the embedding: a tied random model says its last token again for ever.
    yield TensorPlan(name="output.weight", shape=(shape.n_embd, shape.n_vocab), gain=_DECIDED)
    for index in range(shape.n_layer):
        for plan in layer(shape, index):
            yield TensorPlan(
                name=f"blk.{index}.{plan.name}", shape=plan.shape, fill=plan.fill, gain=plan.gain
            )


def family_hyperparameters(shape: ModelShape) -> dict[str, int]:
    """Give the metadata that only this shape's family has, keys without the architecture's prefix."""
    own: dict[str, int] = {}
    if shape.n_swa:
        own["attention.sliding_window"] = shape.n_swa
        own["attention.sliding_window_pattern"] = shape.swa_period
    if shape.architecture == "lfm2":
        own["shortconv.l_cache"] = SHORTCONV_LENGTH
    elif shape.architecture in _MAMBA1 | _MAMBA2:
        own["ssm.conv_kernel"] = CONV_KERNEL
        own["ssm.inner_size"] = 2 * shape.n_embd
        own["ssm.state_size"] = STATE_SIZE
        own["ssm.time_step_rank"] = _time_step_rank(shape)
    if shape.architecture in _MAMBA2:
        own["ssm.group_count"] = 1
    return own


def _time_step_rank(shape: ModelShape) -> int:
    """Give mamba's dt rank, or the number of heads that mamba 2 keeps under the same key."""
    return 2 * shape.n_embd // 32 if shape.architecture in _MAMBA2 else max(1, shape.n_embd // 16)


def _norm(name: str, width: int) -> TensorPlan:
    return TensorPlan(name=f"{name}.weight", shape=(width,), fill="ones")


def _attention(shape: ModelShape) -> Iterator[TensorPlan]:
    n_q = shape.n_head * shape.n_embd_head
    n_kv = shape.n_head_kv * shape.n_embd_head
    yield TensorPlan(name="attn_q.weight", shape=(shape.n_embd, n_q), gain=_SHARP)
    yield TensorPlan(name="attn_k.weight", shape=(shape.n_embd, n_kv), gain=_SHARP)
    yield TensorPlan(name="attn_v.weight", shape=(shape.n_embd, n_kv))
    yield TensorPlan(name="attn_output.weight", shape=(n_q, shape.n_embd))


def _head_norms(shape: ModelShape) -> Iterator[TensorPlan]:
    yield _norm("attn_q_norm", shape.n_embd_head)
    yield _norm("attn_k_norm", shape.n_embd_head)


def _feed_forward(shape: ModelShape, *, norm: str = "ffn_norm") -> Iterator[TensorPlan]:
    yield _norm(norm, shape.n_embd)
    yield TensorPlan(name="ffn_gate.weight", shape=(shape.n_embd, shape.n_ff))
    yield TensorPlan(name="ffn_up.weight", shape=(shape.n_embd, shape.n_ff))
    yield TensorPlan(name="ffn_down.weight", shape=(shape.n_ff, shape.n_embd))


def _mamba1(shape: ModelShape, *, with_norms: bool) -> Iterator[TensorPlan]:
    inner, rank = 2 * shape.n_embd, _time_step_rank(shape)
    yield TensorPlan(name="ssm_in.weight", shape=(shape.n_embd, 2 * inner))
    yield TensorPlan(name="ssm_conv1d.weight", shape=(CONV_KERNEL, inner))
    yield TensorPlan(name="ssm_conv1d.bias", shape=(inner,), fill="vector")
    yield TensorPlan(name="ssm_x.weight", shape=(inner, rank + 2 * STATE_SIZE))
    yield TensorPlan(name="ssm_dt.weight", shape=(rank, inner))
    yield TensorPlan(name="ssm_dt.bias", shape=(inner,), fill="vector")
    yield TensorPlan(name="ssm_a", shape=(STATE_SIZE, inner), fill="decay")
    yield TensorPlan(name="ssm_d", shape=(inner,), fill="ones")
    yield TensorPlan(name="ssm_out.weight", shape=(inner, shape.n_embd))
    if with_norms:
        yield _norm("ssm_dt_norm", rank)
        yield _norm("ssm_b_norm", STATE_SIZE)
        yield _norm("ssm_c_norm", STATE_SIZE)


def _mamba2(shape: ModelShape) -> Iterator[TensorPlan]:
    inner, n_heads = 2 * shape.n_embd, _time_step_rank(shape)
    conv = inner + 2 * STATE_SIZE
    yield TensorPlan(name="ssm_in.weight", shape=(shape.n_embd, inner + conv + n_heads))
    yield TensorPlan(name="ssm_conv1d.weight", shape=(CONV_KERNEL, conv))
    yield TensorPlan(name="ssm_conv1d.bias", shape=(conv,), fill="vector")
    yield TensorPlan(name="ssm_dt.bias", shape=(n_heads,), fill="vector")
    yield TensorPlan(name="ssm_a", shape=(1, n_heads), fill="decay")
    yield TensorPlan(name="ssm_d", shape=(1, n_heads), fill="ones")
    yield TensorPlan(name="ssm_norm.weight", shape=(inner, 1), fill="ones")
    yield TensorPlan(name="ssm_out.weight", shape=(inner, shape.n_embd))


def _shortconv(shape: ModelShape) -> Iterator[TensorPlan]:
    yield TensorPlan(name="shortconv.conv.weight", shape=(SHORTCONV_LENGTH, shape.n_embd))
    yield TensorPlan(name="shortconv.in_proj.weight", shape=(shape.n_embd, 3 * shape.n_embd))
    yield TensorPlan(name="shortconv.out_proj.weight", shape=(shape.n_embd, shape.n_embd))


def _llama_layer(shape: ModelShape, _index: int) -> Iterator[TensorPlan]:
    yield _norm("attn_norm", shape.n_embd)
    yield from _attention(shape)
    yield from _feed_forward(shape)


def _qwen2_layer(shape: ModelShape, index: int) -> Iterator[TensorPlan]:
    n_q, n_kv = shape.n_head * shape.n_embd_head, shape.n_head_kv * shape.n_embd_head
    yield from _llama_layer(shape, index)
    yield TensorPlan(name="attn_q.bias", shape=(n_q,), fill="vector")
    yield TensorPlan(name="attn_k.bias", shape=(n_kv,), fill="vector")
    yield TensorPlan(name="attn_v.bias", shape=(n_kv,), fill="vector")


def _qwen3_layer(shape: ModelShape, index: int) -> Iterator[TensorPlan]:
    yield from _llama_layer(shape, index)
    yield from _head_norms(shape)


def _gemma3_layer(shape: ModelShape, index: int) -> Iterator[TensorPlan]:
    yield from _qwen3_layer(shape, index)
    yield _norm("post_attention_norm", shape.n_embd)
    yield _norm("post_ffw_norm", shape.n_embd)


def _mamba_layer(shape: ModelShape, _index: int) -> Iterator[TensorPlan]:
    yield _norm("attn_norm", shape.n_embd)
    yield from _mamba1(shape, with_norms=False)


def _jamba_layer(shape: ModelShape, index: int) -> Iterator[TensorPlan]:
    yield _norm("attn_norm", shape.n_embd)
    yield from _mamba1(shape, with_norms=True) if index in shape.recurrent_layers else _attention(shape)
    yield from _feed_forward(shape)


def _lfm2_layer(shape: ModelShape, index: int) -> Iterator[TensorPlan]:
    yield _norm("attn_norm", shape.n_embd)
    if index in shape.recurrent_layers:
        yield from _shortconv(shape)
    else:
        yield from _attention(shape)
        yield from _head_norms(shape)
    yield from _feed_forward(shape)


def _falcon_h1_layer(shape: ModelShape, _index: int) -> Iterator[TensorPlan]:
    yield _norm("attn_norm", shape.n_embd)
    yield from _mamba2(shape)
    yield from _attention(shape)
    for plan in _feed_forward(shape):  # llama.cpp reads this family's norm without the suffix
        name = "ffn_norm" if plan.name == "ffn_norm.weight" else plan.name
        yield TensorPlan(name=name, shape=plan.shape, fill=plan.fill)


def _granite_hybrid_layer(shape: ModelShape, index: int) -> Iterator[TensorPlan]:
    yield _norm("attn_norm", shape.n_embd)
    yield from _mamba2(shape) if index in shape.recurrent_layers else _attention(shape)
    yield from _feed_forward(shape)


_MAMBA1: Final = frozenset({"mamba", "jamba"})
_MAMBA2: Final = frozenset({"falcon-h1", "granitehybrid"})
_LAYERS: Final = MappingProxyType[str, Callable[[ModelShape, int], Iterator[TensorPlan]]](
    {
        "llama": _llama_layer,
        "qwen2": _qwen2_layer,
        "qwen3": _qwen3_layer,
        "gemma3": _gemma3_layer,
        "mamba": _mamba_layer,
        "jamba": _jamba_layer,
        "lfm2": _lfm2_layer,
        "falcon-h1": _falcon_h1_layer,
        "granitehybrid": _granite_hybrid_layer,
    }
)
