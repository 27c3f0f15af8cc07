"""Decide whether llama.cpp may see a file at all.

A failed assertion in llama.cpp ends the process, and with it every conversation of every model. So what a
file says is compared here with all that llama.cpp asserts while it loads, tokenises and decodes. What rules
cannot exclude, :mod:`actorllama.native.probe` tries in a process of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from actorllama.native.families import ARCHITECTURES, REFUSED
from actorllama.native.gguf import GgufFile, GgufTensor, read_gguf
from actorllama.native.gguf_hparams import check_hyperparameters
from actorllama.native.gguf_types import ValueType
from actorllama.native.gguf_view import GgufView
from actorllama.native.gguf_vocab import check_vocabulary
from actorllama.native.gguf_weights import check_weights

__all__ = ["check_loadable", "read_parts"]

_MODEL_HINT: Final = "Load the model file that belongs to it."
_NOT_MODELS: Final = {
    "adapter": "it is an adapter (LoRA), not a model",
    "mmproj": "it is the projector of a multimodal model",
    "projector": "it is the projector of a multimodal model",
    "imatrix": "it is an importance matrix for quantising",
    "vocab": "it holds only a vocabulary",
}
_MAX_PARTS: Final = 1000


def check_loadable(file: GgufFile) -> tuple[GgufFile, ...]:
    """Refuse a file that this llama.cpp build cannot load, tokenise and decode with.

    Returns:
        All parts of the model, this file first; only this file for a model in one file.

    Raises:
        ModelLoadError: Says what is wrong, and what to load instead where that can be told.

    Cost: 3 ms for a small model, 0.2 s for a vocabulary of 150,000 tokens.
    """
    view = _view(file)
    parts = read_parts(view)
    tensors = _all_tensors(view, parts)
    check_hyperparameters(view)
    n_tokens = check_vocabulary(view)
    check_weights(view, tensors, n_tokens=n_tokens, n_embd=view.required("embedding_length"))
    return parts


def _view(file: GgufFile) -> GgufView:
    """Find out what the file is, and go on only with a text model that this build runs."""
    anonymous = GgufView(file=file, architecture="general")
    what = anonymous.text("general.type")
    if what in _NOT_MODELS:
        raise anonymous.refuse(_NOT_MODELS[what], hint=_MODEL_HINT)
    architecture = anonymous.text("general.architecture")
    if architecture is None:
        raise anonymous.refuse("it does not name its architecture", hint=_MODEL_HINT)
    if architecture in REFUSED:
        raise anonymous.refuse(
            f"no conversation can be held with a {architecture!r}", hint=REFUSED[architecture]
        )
    if architecture not in ARCHITECTURES:
        raise anonymous.refuse(
            f"its architecture {architecture!r} is not known to this llama.cpp build",
            hint="A newer llama-cpp-python may know it; otherwise load another model.",
        )
    if not file.tensors:
        raise anonymous.refuse("it holds no weights, only a vocabulary or metadata", hint=_MODEL_HINT)
    return GgufView(file=file, architecture=architecture)


def read_parts(view: GgufView) -> tuple[GgufFile, ...]:
    """Read the headers of all files that the model is split into.

    Raises:
        ModelLoadError: This is not the first part, or another part is missing or does not belong to it.
    """
    file = view.file
    n_parts = _split_number(file, "split.count")
    if n_parts is None or n_parts < 2:
        return (file,)
    match = re.fullmatch(r"(.+)-(\d{5})-of-(\d{5})\.gguf", Path(file.path).name)
    number = _split_number(file, "split.no")
    if n_parts > _MAX_PARTS or match is None or int(match[3]) != n_parts:
        raise view.refuse(
            f"it is one of {n_parts} parts, and its name does not say which",
            hint="Give the parts back their names: NAME-00001-of-00005.gguf and so on.",
        )
    names = [f"{match[1]}-{index:05d}-of-{n_parts:05d}.gguf" for index in range(1, n_parts + 1)]
    if number != 0 or int(match[2]) != 1:
        raise view.refuse(f"it is not the first of its {n_parts} parts", hint=f"Load {names[0]} instead.")
    parts = [file]
    for index, name in enumerate(names[1:], start=1):
        part = read_gguf(Path(file.path).parent / name)
        if _split_number(part, "split.no") != index:
            raise view.refuse(f"{name} is not part {index + 1} of it", hint="Download the parts again.")
        parts.append(part)
    return tuple(parts)


def _split_number(file: GgufFile, key: str) -> int | None:
    """Read a split's number; llama.cpp asserts that it is a UINT16."""
    value = file.metadata.get(key)
    if value is None:
        return None
    if file.kinds[key] is not ValueType.UINT16 or not isinstance(value, int):
        view = GgufView(file=file, architecture="general")
        raise view.refuse(f"{key} is of type {file.kinds[key].name} and must be one UINT16")
    return value


def _all_tensors(view: GgufView, parts: tuple[GgufFile, ...]) -> Mapping[str, GgufTensor]:
    tensors: dict[str, GgufTensor] = {}
    for part in parts:
        twice = tensors.keys() & part.tensors.keys()
        if twice:
            raise view.refuse(f"tensor {min(twice)} is in two of its parts")
        tensors.update(part.tensors)
    announced = view.file.metadata.get("split.tensors.count")
    if len(parts) > 1 and announced != len(tensors):
        raise view.refuse(f"its parts hold {len(tensors)} tensors, and {announced} were announced")
    return tensors
