"""The numbers that shape a model: everything that llama.cpp asserts about them, asked politely first.

Source: `llama_model_base::load_hparams` (src/llama-model.cpp), the asserts of `ggml_rope`, `ggml_rms_norm`
and `ggml_norm`, and what the fuzzing in `tests/native/test_gguf_fuzz.py` found.
"""

from __future__ import annotations

from typing import Final

from actorllama.native.families import (
    EQUAL_HEADS,
    HEADS_FILL_WIDTH,
    HYBRID,
    MAMBA2,
    RECURRENT,
    ROTATES_WHOLE_HEAD,
)
from actorllama.native.gguf_layers import MAX_LAYERS, plan_layers
from actorllama.native.gguf_view import GgufView

__all__ = ["check_hyperparameters"]

_MAX_EXPERTS: Final = 1024  # LLAMA_MAX_EXPERTS
_MAX_WIDTH: Final = 1 << 20
_MAX_HEADS: Final = 1 << 14
_MAX_HEAD_WIDTH: Final = 1 << 13
_MAX_CONTEXT: Final = 1 << 30
_MAX_SCALE: Final = 1e6
_ROPE_SCALINGS: Final = frozenset({"none", "linear", "yarn", "longrope"})


def check_hyperparameters(view: GgufView) -> None:
    """Refuse numbers that no model has, or that llama.cpp would answer with an assertion.

    Raises:
        ModelLoadError: Names the key, its value, and its bounds.
    """
    n_layer = view.required("block_count", most=MAX_LAYERS)
    n_embd = view.required("embedding_length", most=_MAX_WIDTH)
    view.required("context_length", most=_MAX_CONTEXT)
    view.unsigned("nextn_predict_layers", most=n_layer - 1)
    view.per_layer("feed_forward_length", n_layer, most=1 << 24)
    if view.flag("attention.causal") is False:
        raise view.refuse("it attends to later tokens too, so it cannot write text token by token")
    view.unsigned("pooling_type", most=4)
    _check_experts(view, n_layer)
    if view.architecture not in RECURRENT:
        _check_heads(view, n_layer, n_embd)
    view.unsigned("attention.sliding_window", most=_MAX_CONTEXT)
    _check_layers(view)
    _check_rope(view)
    _check_norms(view)
    _check_recurrent(view, n_embd)


def _check_experts(view: GgufView, n_layer: int) -> None:
    n = view.unsigned("expert_count", most=_MAX_EXPERTS) or 0
    used = max(view.per_layer("expert_used_count", n_layer, most=_MAX_EXPERTS) or (0,))
    groups = view.unsigned("expert_group_count") or 0
    groups_used = view.unsigned("expert_group_used_count") or 0
    if used > n or (n > 0 and used == 0):
        raise view.refuse(f"{used} of {n} experts are used at a time, which cannot be")
    if groups and groups >= max(n, 1):
        raise view.refuse(f"{n} experts cannot form {groups} groups")
    if groups > 1 and (n % groups or not 0 < groups_used < groups):
        raise view.refuse(f"{groups_used} of {groups} groups of {n} experts are used, which cannot be")


def _check_heads(view: GgufView, n_layer: int, n_embd: int) -> None:
    heads = view.per_layer("attention.head_count", n_layer, most=_MAX_HEADS)
    if heads is None or not any(heads):
        raise view.refuse(f"{view.architecture}.attention.head_count is missing or 0")
    heads_kv = view.per_layer("attention.head_count_kv", n_layer, most=_MAX_HEADS) or heads
    for layer, (n, n_kv) in enumerate(zip(heads, heads_kv, strict=True)):
        if n_kv and n % n_kv:
            raise view.refuse(f"layer {layer} has {n} heads, which {n_kv} KV heads cannot serve evenly")
        if n and not n_kv and view.architecture not in HYBRID | {"deci"}:
            raise view.refuse(f"layer {layer} has {n} heads and no KV head")
    _check_head_width(view, heads, n_embd)


def _check_head_width(view: GgufView, heads: tuple[int, ...], n_embd: int) -> None:
    key = view.unsigned("attention.key_length", least=1, most=_MAX_HEAD_WIDTH)
    value = view.unsigned("attention.value_length", least=1, most=_MAX_HEAD_WIDTH)
    if (key is None or value is None) and heads[0] and n_embd % heads[0]:
        raise view.refuse(f"{n_embd} dimensions cannot be shared evenly by {heads[0]} heads")
    default = n_embd // heads[0] if heads[0] else 0
    key = default if key is None else key
    value = default if value is None else value
    if view.architecture in EQUAL_HEADS and key != value:
        raise view.refuse(f"its heads have keys of width {key} and values of width {value}")
    if view.architecture in HEADS_FILL_WIDTH and any(n * key != n_embd for n in heads if n):
        raise view.refuse(f"its {max(heads)} heads of width {key} do not make its width of {n_embd}")
    key_swa = view.unsigned("attention.key_length_swa", least=1, most=_MAX_HEAD_WIDTH)
    view.unsigned("attention.value_length_swa", least=1, most=_MAX_HEAD_WIDTH)
    if key:
        _check_rotation(view, "rope.dimension_count", key)
        _check_rotation(view, "rope.dimension_count_swa", key_swa or key)


def _check_rotation(view: GgufView, key: str, head_width: int) -> None:
    """``ggml_rope`` turns pairs of numbers, asserts that they are there, and hangs if there are none."""
    rotated = view.unsigned(key)
    n = head_width if rotated is None else rotated
    if n > head_width or n % 2 or (n == 0 and view.architecture != "glm5-next"):
        raise view.refuse(f"{view.architecture}.{key} is {n}: no even number within a head of {head_width}")
    if n != head_width and view.architecture in ROTATES_WHOLE_HEAD:
        raise view.refuse(f"{view.architecture}.{key} is {n} and must be the whole head, {head_width}")


def _check_layers(view: GgufView) -> None:
    """A window that binds no layer, and layers that share a cache which is not there, are assertions."""
    plan = plan_layers(view)
    if plan.n_swa and not any(plan.is_windowed):
        raise view.refuse(f"it has a window of {plan.n_swa} tokens and no layer that it binds")
    if view.architecture == "gemma4" and sum(n > 0 for n in plan.heads_kv) < 2:
        raise view.refuse("fewer than two of its layers have a cache of their own")


def _check_rope(view: GgufView) -> None:
    scaling = view.text(f"{view.architecture}.rope.scaling.type")
    if scaling is not None and scaling not in _ROPE_SCALINGS:
        known = ", ".join(sorted(_ROPE_SCALINGS))
        raise view.refuse(f"its rope scaling is {scaling!r}, and this build knows {known}")
    for key in ("rope.freq_base", "rope.freq_base_swa"):
        view.real(key, least=1.0)
    for key in ("rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor"):
        view.real(key, least=0.0, most=_MAX_SCALE)
    view.unsigned("rope.scaling.original_context_length", most=_MAX_CONTEXT)


def _check_norms(view: GgufView) -> None:
    """An epsilon below 0, or none at all, is an assertion in ``ggml_norm``."""
    for key in ("layer_norm_rms_epsilon", "layer_norm_epsilon", "group_norm_epsilon"):
        view.real(f"attention.{key}", least=0.0, most=1.0)


def _check_recurrent(view: GgufView, n_embd: int) -> None:
    """Sizes of 0 would be divided by; a state's size must not overflow its 32 bits."""
    inner = view.unsigned("ssm.inner_size", most=_MAX_WIDTH)
    state = view.unsigned("ssm.state_size", most=1 << 12)
    kernel = view.unsigned("ssm.conv_kernel", most=64)
    rank = view.unsigned("ssm.time_step_rank", most=_MAX_WIDTH)
    groups = view.unsigned("ssm.group_count", most=_MAX_WIDTH)
    if view.architecture in RECURRENT | HYBRID and inner is not None:
        if not (inner and state and kernel and rank):
            raise view.refuse("a size of its state space is 0 or missing")
        if (groups and inner % groups) or (view.architecture in MAMBA2 and not groups):
            raise view.refuse(f"its state space of {inner} cannot form {groups} groups")
        if view.architecture in ("mamba", "mamba2", "jamba", "granitehybrid") and inner != 2 * n_embd:
            raise view.refuse(f"its state space of {inner} is not twice its width of {n_embd}")
    length = view.unsigned("shortconv.l_cache", most=64)
    if length is not None and length < 2:
        raise view.refuse(f"{view.architecture}.shortconv.l_cache is {length} and must be at least 2")
