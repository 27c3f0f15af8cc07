"""What a model file says about itself, in the words of a reader; the weights stay untouched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from actorllama.native.families import HYBRID, RECURRENT
from actorllama.native.gguf import GgufFile, GgufTensor, GgufValue, read_gguf
from actorllama.native.gguf_check import check_loadable
from actorllama.native.gguf_view import GgufView

__all__ = ["ModelSummary", "QuantisationShare", "summarise"]

_KV_ELEMENT_BYTES: Final = 2  # f16, the default of ContextOptions


@frozen(kw_only=True)
class QuantisationShare:
    """How much of a model is stored as one type."""

    type: str
    n_tensors: int
    n_bytes: int


@frozen(kw_only=True)
class ModelSummary:
    """The facts of one model. ``None``: the file does not say, or it cannot be told without loading."""

    path: str
    name: str | None
    architecture: str
    description: str | None
    license: str | None
    gguf_version: int
    n_files: int
    file_bytes: int
    weights_bytes: int
    n_params: int
    n_tensors: int
    n_vocab: int
    n_ctx_train: int
    n_embd: int
    n_layer: int
    n_head: int | None
    n_head_kv: int | None
    n_experts: int
    tokenizer: str | None
    kv_bytes_per_token: int | None
    """Of one sequence, with f16 elements; a sliding window needs less. 0: a state of fixed size."""
    quantisation: tuple[QuantisationShare, ...]
    """By bytes, the largest share first."""
    chat_template: str | None

    @property
    def main_quantisation(self) -> str:
        """The type of most of the weights."""
        return self.quantisation[0].type if self.quantisation else "none"

    @property
    def bits_per_weight(self) -> float:
        """Bits that a weight takes on average."""
        return self.weights_bytes * 8 / self.n_params if self.n_params else 0.0


def summarise(path: Path) -> ModelSummary:
    """Read the header of a model that llama.cpp can load.

    Raises:
        ModelLoadError: It could not; with the reason.
    """
    file = read_gguf(path)
    parts = check_loadable(file)
    architecture = file.metadata["general.architecture"]
    assert isinstance(architecture, str)  # check_loadable saw to it
    view = GgufView(file=file, architecture=architecture)
    tensors = [tensor for part in parts for tensor in part.tensors.values()]
    n_layer = view.required("block_count")
    heads = view.per_layer("attention.head_count", n_layer, most=1 << 14)
    heads_kv = view.per_layer("attention.head_count_kv", n_layer, most=1 << 14) or heads
    return ModelSummary(
        path=str(path),
        name=_text(file.metadata, "general.name"),
        architecture=architecture,
        description=_text(file.metadata, "general.description"),
        license=_text(file.metadata, "general.license"),
        gguf_version=file.version,
        n_files=len(parts),
        file_bytes=sum(part.file_bytes for part in parts),
        weights_bytes=sum(tensor.n_bytes for tensor in tensors),
        n_params=sum(tensor.n_elements for tensor in tensors),
        n_tensors=len(tensors),
        n_vocab=_n_vocab(file),
        n_ctx_train=view.required("context_length"),
        n_embd=view.required("embedding_length"),
        n_layer=n_layer,
        n_head=max(heads) if heads else None,
        n_head_kv=max(heads_kv) if heads_kv else None,
        n_experts=view.unsigned("expert_count") or 0,
        tokenizer=_text(file.metadata, "tokenizer.ggml.model"),
        kv_bytes_per_token=_kv_bytes_per_token(view, heads, heads_kv),
        quantisation=_shares(tensors),
        chat_template=_text(file.metadata, "tokenizer.chat_template"),
    )


def _kv_bytes_per_token(
    view: GgufView, heads: tuple[int, ...] | None, heads_kv: tuple[int, ...] | None
) -> int | None:
    """Add up keys and values of all layers that keep any."""
    if view.architecture in RECURRENT:
        return 0
    if not heads or not heads_kv:
        return None
    if view.architecture in HYBRID and len(set(heads_kv)) == 1:
        return None  # which layers attend is not in the file but in llama.cpp's code
    width_k = view.unsigned("attention.key_length") or view.required("embedding_length") // max(heads)
    width_v = view.unsigned("attention.value_length") or view.required("embedding_length") // max(heads)
    if view.unsigned("attention.key_length_mla"):
        width_v = 0  # multi-head latent attention reads its values out of the keys
    return sum(heads_kv) * (width_k + width_v) * _KV_ELEMENT_BYTES


def _shares(tensors: Iterable[GgufTensor]) -> tuple[QuantisationShare, ...]:
    n_tensors: Counter[str] = Counter()
    n_bytes: Counter[str] = Counter()
    for tensor in tensors:
        n_tensors[tensor.type.name] += 1
        n_bytes[tensor.type.name] += tensor.n_bytes
    return tuple(
        QuantisationShare(type=kind, n_tensors=n_tensors[kind], n_bytes=total)
        for kind, total in n_bytes.most_common()
    )


def _n_vocab(file: GgufFile) -> int:
    tokens = file.arrays.get("tokenizer.ggml.tokens")
    return 0 if tokens is None else tokens.n


def _text(metadata: Mapping[str, GgufValue], key: str) -> str | None:
    value = metadata.get(key)
    return value if isinstance(value, str) else None
