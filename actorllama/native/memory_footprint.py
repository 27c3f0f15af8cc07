"""What of a model takes memory, layer by layer, from its file's header: the ground of every estimate."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from actorllama.native.gguf import GgufFile, GgufTensor
from actorllama.native.gguf_facts import GgufFacts, read_facts
from actorllama.native.gguf_view import GgufView

__all__ = ["ModelFootprint", "read_footprint"]

_BLOCK: Final = re.compile(r"^blk\.(\d+)\.")
_REPACKED: Final = frozenset({"Q2_K", "Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})  # with AVX2, or AVX-512 for Q2_K
_MAX_LAYERS: Final = 512
_MAX_WIDTH: Final = 1 << 24


@frozen(kw_only=True)
class ModelFootprint:
    """The sizes that decide how much memory a model and its contexts take.

    ``layer_bytes`` are the weights of each block, drafting blocks at the end included. ``input_bytes`` is
    the token embedding, which stays on the host; ``output_bytes`` all else outside blocks. Where
    ``is_tied`` the embedding is the output matrix too, and is there twice once the output is on a GPU. The
    ``repacked`` ones are those weights that llama.cpp copies into another order for a CPU.
    ``n_ff`` is the widest that a token gets between two layers, all its experts together; ``n_inner`` and
    ``n_state`` are those of state spaces, 0 without.
    """

    facts: GgufFacts
    input_bytes: int
    output_bytes: int
    layer_bytes: tuple[int, ...]
    repacked_layer_bytes: tuple[int, ...]
    repacked_output_bytes: int
    is_tied: bool
    n_ff: int
    n_inner: int
    n_state: int


def read_footprint(file: GgufFile, parts: Iterable[GgufFile] = ()) -> ModelFootprint:
    """Work out what of a model takes memory.

    Args:
        file: The model's header, checked or not; the first part of a model in several.
        parts: All parts, as ``check_loadable`` returns them; by default this file alone.

    Raises:
        ModelLoadError: A number that it is made from is missing or impossible.
    """
    files = tuple(parts) or (file,)
    facts = read_facts(file, files)
    view = GgufView(file=file, architecture=facts.architecture)
    n_all = view.required("block_count", most=_MAX_LAYERS)
    layer_bytes = [0] * n_all
    repacked = [0] * n_all
    input_bytes = output_bytes = repacked_output = 0
    names: set[str] = set()
    for tensor in (tensor for part in files for tensor in part.tensors.values()):
        names.add(tensor.name)
        layer = _layer_of(tensor, n_all)
        if layer is not None:
            layer_bytes[layer] += tensor.n_bytes
            repacked[layer] += _repacked_bytes(tensor)
        elif tensor.name.startswith(("token_embd", "per_layer_token_embd")):
            input_bytes += tensor.n_bytes
        else:
            output_bytes += tensor.n_bytes
            repacked_output += _repacked_bytes(tensor)
    return ModelFootprint(
        facts=facts,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        layer_bytes=tuple(layer_bytes),
        repacked_layer_bytes=tuple(repacked),
        repacked_output_bytes=repacked_output,
        is_tied="output.weight" not in names,
        n_ff=_widest(view, n_all),
        n_inner=view.unsigned("ssm.inner_size", most=_MAX_WIDTH) or 0,
        n_state=(view.unsigned("ssm.state_size", most=_MAX_WIDTH) or 0)
        * (view.unsigned("ssm.group_count", most=_MAX_WIDTH) or 1),
    )


def _repacked_bytes(tensor: GgufTensor) -> int:
    """Count the copy that `ggml_repack_get_optimal_repack_type` decides on, on x86 and on Arm."""
    n_rows = tensor.shape[1] if len(tensor.shape) > 1 else 1
    return tensor.n_bytes if tensor.type.name in _REPACKED and n_rows % 8 == 0 else 0


def _layer_of(tensor: GgufTensor, n_all: int) -> int | None:
    found = _BLOCK.match(tensor.name)
    layer = int(found[1]) if found else None
    return layer if layer is not None and layer < n_all else None


def _widest(view: GgufView, n_all: int) -> int:
    """Give the width of a token's feed-forward: of the dense one, or of all experts that it uses."""
    dense = max(view.per_layer("feed_forward_length", n_all, most=_MAX_WIDTH) or (0,))
    n_used = max(view.per_layer("expert_used_count", n_all, most=_MAX_LAYERS * 2) or (0,))
    expert = view.unsigned("expert_feed_forward_length", most=_MAX_WIDTH) or dense
    shared = view.unsigned("expert_shared_feed_forward_length", most=_MAX_WIDTH) or 0
    return max(dense, n_used * expert + shared)
