"""The shapes that random models come in: one tiny model per family, and two that are as fast as real ones."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal, get_args

from attrs import field, frozen, validators

__all__ = ["SHAPES", "ModelShape", "ShapeName", "WeightType", "shape_named"]

WeightType = Literal["F32", "F16", "Q8_0", "Q4_0"]
ShapeName = Literal[
    "llama", "qwen2", "qwen3", "gemma3", "mamba", "jamba", "lfm2", "falcon-h1", "granitehybrid", "15m", "0.5b"
]

_positive: Final = validators.ge(1)


@frozen(kw_only=True)
class ModelShape:
    """Everything but the numbers in the weights.

    ``n_head_kv`` of 0 in ``recurrent_layers`` is written for the families that tell a recurrent layer by it.
    ``head_dim`` of ``None`` means ``n_embd // n_head``.
    """

    architecture: str
    n_layer: int = field(default=2, validator=_positive)
    n_embd: int = field(default=64, validator=_positive)
    n_head: int = field(default=4, validator=_positive)
    n_head_kv: int = field(default=2, validator=_positive)
    n_ff: int = field(default=128, validator=_positive)
    n_vocab: int = field(default=512, validator=_positive)
    head_dim: int | None = None
    n_ctx_train: int = field(default=4096, validator=_positive)
    n_swa: int = 0
    swa_period: int = 0
    recurrent_layers: tuple[int, ...] = ()
    weights: WeightType = "Q8_0"

    @property
    def n_embd_head(self) -> int:
        """Give the width of one attention head."""
        return self.head_dim if self.head_dim is not None else self.n_embd // self.n_head


# Weights are quantised even in the tiny ones: with F32 weights llama.cpp computes one row and two rows in
# different ways, and no exactness test could pass (llama-notes.md, section 0).
SHAPES: Final = MappingProxyType[ShapeName, ModelShape](
    {
        "llama": ModelShape(architecture="llama"),
        "qwen2": ModelShape(architecture="qwen2"),
        "qwen3": ModelShape(architecture="qwen3", head_dim=32),
        "gemma3": ModelShape(architecture="gemma3", n_layer=6, head_dim=32, n_swa=32, swa_period=3),
        "mamba": ModelShape(architecture="mamba"),
        "jamba": ModelShape(architecture="jamba", n_layer=4, recurrent_layers=(0, 1, 3)),
        "lfm2": ModelShape(architecture="lfm2", n_layer=4, recurrent_layers=(0, 1, 3)),
        "falcon-h1": ModelShape(architecture="falcon-h1"),
        "granitehybrid": ModelShape(architecture="granitehybrid", n_layer=4, recurrent_layers=(0, 1, 3)),
        "15m": ModelShape(
            architecture="llama",
            n_layer=6,
            n_embd=288,
            n_head=6,
            n_head_kv=6,
            n_ff=768,
            n_vocab=32000,
            n_ctx_train=8192,
        ),
        "0.5b": ModelShape(
            architecture="llama",
            n_layer=24,
            n_embd=896,
            n_head=14,
            n_head_kv=2,
            n_ff=4864,
            n_vocab=32000,
            n_ctx_train=32768,
            weights="Q4_0",
        ),
    }
)


def shape_named(name: str) -> ModelShape:
    """Find a shape by its name.

    Raises:
        ValueError: There is none of this name; the message lists those there are.
    """
    for known in get_args(ShapeName):
        if known == name:
            return SHAPES[known]
    raise ValueError(f"no shape is named {name!r}; there are: {', '.join(SHAPES)}")
