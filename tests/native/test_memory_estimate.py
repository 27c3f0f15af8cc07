"""What a model will take is known before it is loaded: compared with what llama.cpp allocates."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from attrs import evolve

from actorllama.native.gguf import read_gguf
from actorllama.native.memory_devices import BufferSize, parse_buffer_line
from actorllama.native.memory_estimate import (
    HOST_NAME,
    DeviceEstimate,
    DeviceRoom,
    MemoryEstimate,
    estimate_memory,
)
from actorllama.native.memory_footprint import ModelFootprint, read_footprint
from actorllama.native.options import ContextOptions, ModelOptions
from actorllama.testing.random_models import cached_random_model, write_random_model
from actorllama.testing.random_shapes import SHAPES, ShapeName

TINY: tuple[ShapeName, ...] = tuple(name for name in SHAPES if name not in {"15m", "0.5b"})
ROUNDING_BYTES = 5300  # llama.cpp tells hundredths of a MiB
MIB = 1 << 20
GPUS = (DeviceRoom(name="CUDA0", free_bytes=30 * MIB), DeviceRoom(name="CUDA1", free_bytes=10 * MIB))
LAYOUTS = (
    ContextOptions(n_seq=1, ctx_per_seq=256, n_threads=1),
    ContextOptions(n_seq=4, ctx_per_seq=1024, n_threads=1),
    ContextOptions(n_seq=8, ctx_per_seq=512, n_ubatch=64, n_threads=1),
    ContextOptions(n_seq=4, ctx_per_seq=1024, layout="shared", n_threads=1),
    ContextOptions(n_seq=2, ctx_per_seq=2048, flash_attention=True, n_threads=1),
    ContextOptions(n_seq=4, ctx_per_seq=256, flash_attention=True, n_threads=1),
    ContextOptions(n_seq=2, ctx_per_seq=512, type_k="f32", type_v="f32", n_threads=1),
)


def allocated(path: Path, layouts: Iterable[ContextOptions]) -> list[dict[str, list[BufferSize]]]:
    """Load a model as the product does, open these contexts, and read in the log what was allocated."""
    from actorllama.native.llama import LlamaBackend
    from actorllama.native.llama.log_router import log_router

    def sizes(lines: list[str]) -> dict[str, list[BufferSize]]:
        found: dict[str, list[BufferSize]] = {}
        for size in filter(None, map(parse_buffer_line, lines)):
            found.setdefault(size.what, []).append(size)
        return found

    backend = LlamaBackend()
    with log_router().collecting_lines() as lines:
        model = backend.load(path, ModelOptions(), lambda _: True)
    weights = sizes(lines)
    told: list[dict[str, list[BufferSize]]] = []
    try:
        for layout in layouts:
            with log_router().collecting_lines() as lines:
                model.open_context(layout).close()
            told.append({**weights, **sizes(lines)})
    finally:
        model.close()
    return told


def bytes_of(told: dict[str, list[BufferSize]], what: str) -> int:
    return sum(size.n_bytes for size in told.get(what, ()))


def check(
    name: ShapeName, footprint: ModelFootprint, layout: ContextOptions, told: dict[str, list[BufferSize]]
) -> None:
    """Cells, states and logits to the byte; the compute buffer and all of it never below by more than 1 %."""
    host = estimate_memory(footprint, layout).of(HOST_NAME)
    for what, n_bytes in (("KV", host.kv_bytes), ("RS", host.state_bytes), ("output", host.output_bytes)):
        n_told = len(told.get(what, ()))
        assert abs(bytes_of(told, what) - n_bytes) <= max(1, n_told) * ROUNDING_BYTES, (name, layout, what)
    assert bytes_of(told, "compute") > 0
    assert host.compute_bytes >= 0.99 * bytes_of(told, "compute") - ROUNDING_BYTES, (name, layout)
    total = sum(bytes_of(told, what) for what in told)
    assert 0.99 * total - 3 * ROUNDING_BYTES <= host.total_bytes <= 1.3 * total + 3 * ROUNDING_BYTES, (
        name,
        layout,
    )


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_the_estimate_is_what_llama_cpp_allocates(name: ShapeName, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", name)
    footprint = read_footprint(read_gguf(path))
    for layout, told in zip(LAYOUTS, allocated(path, LAYOUTS), strict=True):
        check(name, footprint, layout, told)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("name", ["15m", "0.5b"])
def test_the_estimate_of_a_model_of_real_shape_is_within_three_percent(
    name: ShapeName, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = cached_random_model(tmp_path_factory.getbasetemp() / "models", name)
    footprint = read_footprint(read_gguf(path))
    layouts = LAYOUTS[:6]
    for layout, told in zip(layouts, allocated(path, layouts), strict=True):
        check(name, footprint, layout, told)
        total = sum(bytes_of(told, what) for what in told)
        estimated = estimate_memory(footprint, layout).total_bytes
        assert abs(estimated / total - 1) < 0.03, (layout, estimated, total)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
def test_smaller_cells_are_counted_as_small(kind: str, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", "qwen3")
    layout = ContextOptions(
        n_seq=4, ctx_per_seq=1024, type_k=kind, type_v=kind, flash_attention=True, n_threads=1
    )
    (told,) = allocated(path, (layout,))
    estimate = estimate_memory(read_footprint(read_gguf(path)), layout).of(HOST_NAME)
    assert abs(estimate.kv_bytes - bytes_of(told, "KV")) <= ROUNDING_BYTES


@pytest.mark.parametrize("name", [*TINY, "15m"])
def test_every_weight_lies_somewhere_and_once(name: ShapeName, tmp_path: Path) -> None:
    footprint = read_footprint(read_gguf(write_random_model(tmp_path / "x.gguf", name)))
    layout = ContextOptions(n_seq=2, ctx_per_seq=512)
    whole = estimate_memory(footprint, layout)
    assert whole.total_bytes == whole.of(HOST_NAME).total_bytes
    assert whole.of(HOST_NAME).weights_bytes == footprint.facts.weights_bytes
    for n in range(len(footprint.layer_bytes) + 3):
        split = estimate_memory(footprint, layout, ModelOptions(n_gpu_layers=n), gpus=GPUS)
        twice = footprint.input_bytes if footprint.is_tied and n > len(footprint.layer_bytes) else 0
        assert total(split, "weights_bytes") == footprint.facts.weights_bytes + twice
        assert total(split, "kv_bytes") == whole.of(HOST_NAME).kv_bytes
        assert abs(total(split, "state_bytes") - whole.of(HOST_NAME).state_bytes) <= len(
            footprint.layer_bytes
        )


def total(estimate: MemoryEstimate, part: str) -> int:
    return sum(getattr(device, part) for device in estimate.devices)


@pytest.fixture
def footprint(tmp_path: Path) -> ModelFootprint:
    """Give a dense model of four equal blocks."""
    return read_footprint(
        read_gguf(write_random_model(tmp_path / "x.gguf", evolve(SHAPES["llama"], n_layer=4)))
    )


def test_no_layer_on_a_gpu_leaves_it_empty(footprint: ModelFootprint) -> None:
    estimate = estimate_memory(footprint, ContextOptions(), ModelOptions(n_gpu_layers=0), gpus=GPUS)
    assert [device.name for device in estimate.devices] == ["host", "CUDA0", "CUDA1"]
    assert estimate.of("CUDA0") == DeviceEstimate(name="CUDA0")
    assert estimate.of("nowhere").total_bytes == 0


def test_layers_go_to_gpus_from_the_last_on_and_by_what_is_free(footprint: ModelFootprint) -> None:
    layout = ContextOptions(n_seq=1, ctx_per_seq=256)
    each = estimate_memory(footprint, layout).of(HOST_NAME).kv_bytes // 4

    def layers(n: int) -> list[int]:
        estimate = estimate_memory(footprint, layout, ModelOptions(n_gpu_layers=n), gpus=GPUS)
        return [device.kv_bytes // each for device in estimate.devices]

    assert layers(0) == [4, 0, 0]
    assert layers(1) == [4, 0, 0]  # the output is the first to go
    assert layers(3) == [2, 2, 0]
    assert layers(5) == layers(-1) == layers(99) == [0, 4, 0]
    even = [evolve(gpu, free_bytes=0) for gpu in GPUS]
    estimate = estimate_memory(footprint, layout, gpus=even, gpu_overhead_bytes=5)
    assert [device.kv_bytes // each for device in estimate.devices] == [0, 3, 1]
    assert [device.overhead_bytes for device in estimate.devices] == [0, 5, 5]


def test_an_unknown_recurrent_state_makes_the_estimate_incomplete(footprint: ModelFootprint) -> None:
    unknown = evolve(footprint, facts=evolve(footprint.facts, state_bytes_per_sequence=None))
    assert estimate_memory(footprint, ContextOptions()).is_complete
    assert not estimate_memory(unknown, ContextOptions()).is_complete
