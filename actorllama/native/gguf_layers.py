"""Which layers of a model remember what: full attention, attention within a window, a recurrent state."""

from __future__ import annotations

from attrs import frozen

from actorllama.native.families import FULL_ATTENTION_INTERVAL, HYBRID, RECURRENT, SLIDING_WINDOW
from actorllama.native.gguf_view import GgufView

__all__ = ["MAX_LAYERS", "LayerPlan", "plan_layers"]

MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
_MAX_HEADS = 1 << 14
_MAX_CONTEXT = 1 << 30


@frozen(kw_only=True)
class LayerPlan:
    """One element for each layer that takes part in decoding.

    ``heads_kv`` is 0 where a layer keeps no keys and values of its own. ``is_windowed``: it forgets what is
    more than ``n_swa`` tokens back. ``is_recurrent``: it keeps a state of fixed size (besides, for
    Falcon-H1, keys and values).
    """

    heads: tuple[int, ...]
    heads_kv: tuple[int, ...]
    is_windowed: tuple[bool, ...]
    is_recurrent: tuple[bool, ...]
    n_swa: int

    @property
    def n_layer(self) -> int:
        """Give the number of layers."""
        return len(self.heads)


def plan_layers(view: GgufView) -> LayerPlan:
    """Work out what each layer keeps.

    Raises:
        ModelLoadError: A number that decides it is missing, of another type, or out of bounds.
    """
    n_all = view.required("block_count", most=MAX_LAYERS)
    n_layer = n_all - (view.unsigned("nextn_predict_layers", most=n_all - 1) or 0)
    heads = view.per_layer("attention.head_count", n_all, most=_MAX_HEADS) or (0,) * n_all
    given = view.per_layer("attention.head_count_kv", n_all, most=_MAX_HEADS)
    heads_kv = heads if given is None else given
    is_recurrent = _recurrent(view, heads_kv)
    n_swa, windowed = _windowed(view, n_layer)
    n_own = _layers_with_own_cache(view, n_layer)
    keeps = [
        view.architecture not in RECURRENT
        and index < n_own
        and (not is_recurrent[index] or view.architecture == "falcon-h1")
        for index in range(n_layer)
    ]
    return LayerPlan(
        heads=heads[:n_layer],
        heads_kv=tuple(heads_kv[index] if keeps[index] else 0 for index in range(n_layer)),
        is_windowed=tuple(windowed[index] and keeps[index] for index in range(n_layer)),
        is_recurrent=is_recurrent[:n_layer],
        n_swa=n_swa,
    )


def _recurrent(view: GgufView, heads_kv: tuple[int, ...]) -> tuple[bool, ...]:
    if view.architecture in RECURRENT or view.architecture == "falcon-h1":
        return (True,) * len(heads_kv)
    if view.architecture not in HYBRID:
        return (False,) * len(heads_kv)
    default = FULL_ATTENTION_INTERVAL.get(view.architecture)
    if default is not None:
        interval = view.unsigned("full_attention_interval", least=1) or default
        return tuple((index + 1) % interval != 0 for index in range(len(heads_kv)))
    feed_forward = view.per_layer("feed_forward_length", len(heads_kv), most=1 << 24)
    if view.architecture.startswith("nemotron_h") and feed_forward is not None:
        return tuple(n_kv == 0 and n_ff == 0 for n_kv, n_ff in zip(heads_kv, feed_forward, strict=True))
    return tuple(n_kv == 0 for n_kv in heads_kv)


def _windowed(view: GgufView, n_layer: int) -> tuple[int, tuple[bool, ...]]:
    """Give the window, and for each layer whether it is bound to it."""
    known = SLIDING_WINDOW.get(view.architecture)
    nowhere = (False,) * n_layer
    if known is None or (view.architecture == "exaone4" and n_layer != 64):
        return 0, nowhere
    given = view.unsigned("attention.sliding_window", most=_MAX_CONTEXT)
    n_swa = known.default_n if given is None or (known.is_fixed and given) else given
    if not n_swa:
        return 0, nowhere
    key = "attention.sliding_window_pattern"
    pattern = view.value(key)
    if isinstance(pattern, tuple):
        padded = (*(bool(element) for element in pattern), *nowhere)
        return n_swa, padded[:n_layer]
    given_period = view.unsigned(key)
    period = known.period if given_period is None else given_period
    dense = 0 if known.is_dense_first else period - 1
    return n_swa, tuple(not period or index % period != dense for index in range(n_layer))


def _layers_with_own_cache(view: GgufView, n_layer: int) -> int:
    """Gemma's small models let their last layers read the cache of earlier ones."""
    if view.architecture == "gemma3n":
        return min(20, n_layer)
    if view.architecture == "gemma4":
        return n_layer - (view.unsigned("attention.shared_kv_layers", most=n_layer) or 0)
    return n_layer
