"""The compute buffers of models of real size, from files with a hole where the weights would be."""

from __future__ import annotations

import math
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import pytest

from actorllama.native.gguf import read_gguf
from actorllama.native.llama.log_router import log_router
from actorllama.native.memory_compute import estimate_compute
from actorllama.native.memory_devices import parse_buffer_line
from actorllama.native.memory_footprint import read_footprint
from actorllama.native.options import ContextOptions
from actorllama.testing import random_models
from actorllama.testing.random_shapes import ModelShape
from actorllama.testing.random_tensors import plan_tensors

SHAPES = {
    "8b": ModelShape(
        architecture="llama",
        n_layer=4,
        n_embd=4096,
        n_head=32,
        n_head_kv=8,
        n_ff=14336,
        n_vocab=128_256,
        n_ctx_train=131_072,
    ),
    "window-4b": ModelShape(
        architecture="gemma3",
        n_layer=6,
        n_embd=2560,
        n_head=8,
        n_head_kv=4,
        head_dim=256,
        n_ff=10_240,
        n_vocab=131_072,
        n_swa=1024,
        swa_period=6,
        n_ctx_train=131_072,
    ),
    "hybrid-3b": ModelShape(
        architecture="jamba",
        n_layer=4,
        n_embd=2560,
        n_head=20,
        n_head_kv=2,
        n_ff=8192,
        n_vocab=65_536,
        recurrent_layers=(0, 1, 3),
    ),
}
LAYOUTS = (
    ContextOptions(n_seq=1, ctx_per_seq=8192),
    ContextOptions(n_seq=8, ctx_per_seq=2048, n_ubatch=128),
    ContextOptions(n_seq=8, ctx_per_seq=2048, layout="shared"),
    ContextOptions(n_seq=4, ctx_per_seq=8192, flash_attention=True),
)


def write_hollow_model(path: Path, shape: ModelShape) -> Path:
    """Write the header of a model; the weights are a hole that takes no room on the disk."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    random_models._add_metadata(writer, shape, name="hollow", chat_template=None)
    n_bytes = 0
    for plan in plan_tensors(shape):
        own = random_models._row_bytes(plan, shape.weights) * math.prod(plan.shape[1:])
        kind = gguf.GGMLQuantizationType[random_models._type_of(plan, shape.weights)]
        numbers = np.dtype(np.float32)  # only the raw type counts
        writer.add_tensor_info(plan.name, tuple(reversed(plan.shape)), numbers, own, raw_dtype=kind)
        n_bytes += own + 64
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size + n_bytes)
    return path


def reserved(model: llama_cpp.llama_model_p, layout: ContextOptions) -> int:
    """Let llama.cpp work out, without allocating, what the context would reserve."""
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_seq_max = layout.n_ctx, layout.n_seq
    options.n_batch, options.n_ubatch = layout.n_batch, layout.n_ubatch
    options.n_threads = options.n_threads_batch = 1
    options.flash_attn_type = int(layout.flash_attention)
    options.kv_unified = layout.layout == "shared"
    with log_router().collecting_lines() as lines:
        context = llama_cpp.llama_init_from_model(model, options)
    assert context is not None
    llama_cpp.llama_free(context)
    sizes = [size for size in map(parse_buffer_line, lines) if size is not None]
    return sum(size.n_bytes for size in sizes if size.what == "compute")


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_the_compute_buffer_of_a_large_model_is_estimated_from_above_and_closely(
    name: str, tmp_path: Path
) -> None:
    path = write_hollow_model(tmp_path / "x.gguf", SHAPES[name])
    footprint = read_footprint(read_gguf(path))
    options = llama_cpp.llama_model_default_params()
    options.no_alloc = True
    options.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
    assert model is not None
    try:
        for layout in LAYOUTS:
            peaks = estimate_compute(footprint, layout)
            estimated = max(peaks.layer_bytes, peaks.output_bytes)
            assert 0.99 <= estimated / reserved(model, layout) <= 1.3, layout
    finally:
        llama_cpp.llama_model_free(model)
