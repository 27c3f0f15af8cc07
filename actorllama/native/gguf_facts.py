"""What a model file says about the model: enough to show it, and to know what memory it will want.

Nothing is loaded. The sizes of saved states are compared with what llama.cpp itself gives, family by
family, in `tests/native/test_gguf_facts.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from actorllama.native.families import HYBRID, MAMBA2, RECURRENT, REFUSED, Family
from actorllama.native.gguf import GgufFile, GgufTensor
from actorllama.native.gguf_layers import LayerPlan, plan_layers
from actorllama.native.gguf_types import TENSOR_TYPES, TensorType
from actorllama.native.gguf_view import GgufView

__all__ = ["GgufFacts", "read_facts"]

_BYTES_PER_STATE_NUMBER: Final = 4  # llama.cpp keeps recurrent states in F32, whatever the cache types
_BY_NAME: Final = MappingProxyType({kind.name: kind for kind in TENSOR_TYPES.values()})


@frozen(kw_only=True)
class GgufFacts:
    """A model, from its file's header.

    ``key_width`` and ``value_width`` are those of one head; layers within a window may have others
    (``key_width_swa``, ``value_width_swa``). ``is_latent``: keys are stored compressed and serve as values
    too (DeepSeek's MLA). ``state_bytes_per_sequence`` is what the recurrent layers keep of one sequence
    however long it is: 0 without such layers, ``None`` where the architecture's is not known here.
    ``bytes_per_type`` and ``weights_bytes`` count tensors, not the file.
    """

    path: str
    architecture: str
    family: Family
    name: str | None
    licence: str | None
    n_layer: int
    n_embd: int
    n_vocab: int
    n_ctx_train: int
    layers: LayerPlan
    key_width: int
    value_width: int
    key_width_swa: int
    value_width_swa: int
    is_latent: bool
    n_parameters: int
    weights_bytes: int
    bytes_per_type: Mapping[str, int]
    state_bytes_per_sequence: int | None
    chat_template: str | None

    @property
    def n_swa(self) -> int:
        """Give the sliding window in tokens, 0 if no layer has one."""
        return self.layers.n_swa

    def kv_bytes_per_token(self, *, type_k: str = "F16", type_v: str = "F16") -> int:
        """Count the cache bytes of one token in all layers that keep every token.

        Args:
            type_k: What keys are stored as, by ggml's name.
            type_v: What values are stored as.

        Raises:
            ValueError: There is no such type, or a row is no whole number of its blocks.
        """
        wanted = [not windowed for windowed in self.layers.is_windowed]
        return self._row_bytes(wanted, self.key_width, self.value_width, type_k, type_v)

    def window_bytes_per_token(self, *, type_k: str = "F16", type_v: str = "F16") -> int:
        """Count the cache bytes of one token in the layers that keep only the last ``n_swa`` tokens."""
        wanted = self.layers.is_windowed
        return self._row_bytes(wanted, self.key_width_swa, self.value_width_swa, type_k, type_v)

    def sequence_bytes(self, n_tokens: int, *, type_k: str = "F16", type_v: str = "F16") -> int | None:
        """Count what a sequence of so many tokens keeps; ``None`` where its recurrent state is not known."""
        if self.state_bytes_per_sequence is None:
            return None
        everywhere = n_tokens * self.kv_bytes_per_token(type_k=type_k, type_v=type_v)
        n_near = min(n_tokens, self.n_swa)
        near = n_near * self.window_bytes_per_token(type_k=type_k, type_v=type_v)
        return everywhere + near + self.state_bytes_per_sequence

    def _row_bytes(self, wanted: Iterable[bool], key: int, value: int, type_k: str, type_v: str) -> int:
        kind_k, kind_v = _stored_as(type_k), _stored_as(type_v)
        total = 0
        for n_heads, is_wanted in zip(self.layers.heads_kv, wanted, strict=True):
            if n_heads and is_wanted and self.is_latent:
                total += _bytes_of(key, kind_k)
            elif n_heads and is_wanted:
                total += _bytes_of(n_heads * key, kind_k) + _bytes_of(n_heads * value, kind_v)
        return total


def read_facts(file: GgufFile, parts: Iterable[GgufFile] = ()) -> GgufFacts:
    """Work out the facts of a model.

    Args:
        file: The model's header, checked or not; the first part of a model in several.
        parts: All parts, as ``check_loadable`` returns them; by default this file alone.

    Raises:
        ModelLoadError: A number that they are made from is missing or impossible.
    """
    architecture = GgufView(file=file, architecture="general").text("general.architecture")
    if architecture is None:
        raise GgufView(file=file, architecture="general").refuse("it does not name its architecture")
    view = GgufView(file=file, architecture=architecture)
    tensors = [tensor for part in tuple(parts) or (file,) for tensor in part.tensors.values()]
    layers = plan_layers(view)
    key, value = _head_widths(view, layers)
    is_latent = view.value("attention.key_length_mla") is not None
    return GgufFacts(
        path=file.path,
        architecture=architecture,
        family=_family(architecture, layers),
        name=view.text("general.name"),
        licence=view.text("general.license"),
        n_layer=layers.n_layer,
        n_embd=view.required("embedding_length"),
        n_vocab=_n_vocab(file),
        n_ctx_train=view.required("context_length"),
        layers=layers,
        key_width=key,
        value_width=value,
        key_width_swa=view.unsigned("attention.key_length_swa") or key,
        value_width_swa=view.unsigned("attention.value_length_swa") or value,
        is_latent=is_latent,
        n_parameters=sum(tensor.n_elements for tensor in tensors),
        weights_bytes=sum(tensor.n_bytes for tensor in tensors),
        bytes_per_type=_mix(tensors),
        state_bytes_per_sequence=_state_bytes(view, layers),
        chat_template=view.text("tokenizer.chat_template"),
    )


def _family(architecture: str, layers: LayerPlan) -> Family:
    if architecture in RECURRENT:
        return "recurrent"
    if architecture in HYBRID:
        return "hybrid"
    if architecture in REFUSED:
        return "encoder"
    return "sliding_window" if any(layers.is_windowed) else "dense"


def _head_widths(view: GgufView, layers: LayerPlan) -> tuple[int, int]:
    default = view.required("embedding_length") // layers.heads[0] if layers.heads[0] else 0
    key = view.unsigned("attention.key_length")
    value = view.unsigned("attention.value_length")
    return default if key is None else key, default if value is None else value


def _n_vocab(file: GgufFile) -> int:
    tokens = file.arrays.get("tokenizer.ggml.tokens")
    return 0 if tokens is None else tokens.n


def _mix(tensors: Iterable[GgufTensor]) -> Mapping[str, int]:
    mix: dict[str, int] = {}
    for tensor in tensors:
        mix[tensor.type.name] = mix.get(tensor.type.name, 0) + tensor.n_bytes
    return MappingProxyType(dict(sorted(mix.items(), key=lambda item: -item[1])))


def _state_bytes(view: GgufView, layers: LayerPlan) -> int | None:
    """Count the numbers that recurrent layers keep (`llama_hparams::n_embd_r`, `n_embd_s`)."""
    n_layers = sum(layers.is_recurrent)
    if not n_layers:
        return 0
    n_embd = view.required("embedding_length")
    head = view.unsigned("wkv.head_size")
    if head:
        shifts = view.unsigned("token_shift_count") or 2
        return n_layers * n_embd * (shifts + head) * _BYTES_PER_STATE_NUMBER
    length = view.unsigned("shortconv.l_cache")
    if length:
        return n_layers * n_embd * (length - 1) * _BYTES_PER_STATE_NUMBER
    inner, state = view.unsigned("ssm.inner_size"), view.unsigned("ssm.state_size")
    kernel = view.unsigned("ssm.conv_kernel")
    if not (inner and state and kernel) or view.architecture not in MAMBA2 | {"mamba", "jamba"}:
        return None
    groups = view.unsigned("ssm.group_count") or 0
    numbers = (kernel - 1) * (inner + 2 * groups * state) + state * inner
    return n_layers * numbers * _BYTES_PER_STATE_NUMBER


def _stored_as(name: str) -> TensorType:
    kind = _BY_NAME.get(name.upper())
    if kind is None:
        raise ValueError(f"there is no tensor type {name!r}; there are {', '.join(_BY_NAME)}")
    return kind


def _bytes_of(n: int, kind: TensorType) -> int:
    if n % kind.block_weights:
        raise ValueError(f"a row of {n} numbers is no whole number of {kind.name} blocks")
    return n // kind.block_weights * kind.block_bytes
