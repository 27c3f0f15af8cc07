"""How much memory a model and its context will take, device by device, from the file's header alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from attrs import frozen

from actorllama.native.gguf_facts import GgufFacts
from actorllama.native.memory_cells import cell_bytes_of_layers
from actorllama.native.memory_compute import estimate_compute
from actorllama.native.memory_footprint import ModelFootprint
from actorllama.native.options import ContextOptions, ModelOptions

__all__ = ["HOST_NAME", "DeviceEstimate", "DeviceRoom", "MemoryEstimate", "estimate_memory"]

HOST_NAME: Final = "host"
_NUMBER: Final = 4


@frozen(kw_only=True)
class DeviceRoom:
    """A device and what is free on it: the host under ``HOST_NAME``, GPUs by ggml's names."""

    name: str
    free_bytes: int


@frozen(kw_only=True)
class DeviceEstimate:
    """What one device will hold.

    ``repacked_bytes`` are the copies that llama.cpp makes of some weights in the order that the processor
    likes best (Q4_0, Q4_K and a few more, on the host only); the mapped file stays as it is beside them.
    ``overhead_bytes`` is the driver's own, for the first model on a GPU.
    """

    name: str
    weights_bytes: int = 0
    repacked_bytes: int = 0
    kv_bytes: int = 0
    state_bytes: int = 0
    compute_bytes: int = 0
    output_bytes: int = 0
    overhead_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Add it up."""
        return self.weights_bytes + self.repacked_bytes + self.context_bytes + self.overhead_bytes

    @property
    def context_bytes(self) -> int:
        """Count what closing the context gives back."""
        return self.kv_bytes + self.state_bytes + self.compute_bytes + self.output_bytes


@frozen(kw_only=True)
class MemoryEstimate:
    """What each device will hold, the host first.

    ``is_complete`` is False where the family's recurrent state is of a size that is not known here: it is
    then left out.
    """

    devices: tuple[DeviceEstimate, ...]
    is_complete: bool = True

    @property
    def total_bytes(self) -> int:
        """Add up all devices."""
        return sum(device.total_bytes for device in self.devices)

    def of(self, name: str) -> DeviceEstimate:
        """Give a device's part; nothing where it holds nothing."""
        return next((device for device in self.devices if device.name == name), DeviceEstimate(name=name))


def estimate_memory(
    footprint: ModelFootprint,
    context: ContextOptions,
    model: ModelOptions | None = None,
    *,
    gpus: Sequence[DeviceRoom] = (),
    gpu_overhead_bytes: int = 0,
) -> MemoryEstimate:
    """Estimate the memory of a model with one context.

    Weights, cells and recurrent states are counted as llama.cpp lays them out; the compute buffer is an upper
    estimate (see :mod:`actorllama.native.memory_compute`). Host weights count whole, mapped or read: mapped
    ones can be dropped by the kernel, but every token reads them again.

    Args:
        footprint: The model.
        context: Its context, as it will be asked for.
        model: How many layers go to GPUs.
        gpus: The GPUs in llama.cpp's order; it shares the layers out by what is free on each.
        gpu_overhead_bytes: What the driver takes on each GPU that is used for the first time.

    Cost: some ten microseconds.
    """
    wide = context.with_batch_for_sequences()
    homes, output_home = _homes(footprint, (model or ModelOptions()).n_gpu_layers, gpus)
    names = (HOST_NAME, *(gpu.name for gpu in gpus))
    weights = _weights(footprint, homes, output_home, len(names))
    kv = _kv(footprint.facts, wide, homes, len(names))
    states = _states(footprint.facts, wide, homes, len(names))
    peaks = estimate_compute(footprint, wide)
    devices: list[DeviceEstimate] = []
    for index, name in enumerate(names):
        compute = peaks.input_bytes if index == 0 else 0
        if index in homes:
            compute = max(compute, peaks.layer_bytes)
        if index == output_home:
            compute = max(compute, peaks.output_bytes)
        devices.append(
            DeviceEstimate(
                name=name,
                weights_bytes=weights[index],
                repacked_bytes=0 if index else _repacked(footprint, homes, output_home),
                kv_bytes=kv[index],
                state_bytes=states[index],
                compute_bytes=compute,
                output_bytes=_NUMBER * wide.n_seq * footprint.facts.n_vocab if index == 0 else 0,
                overhead_bytes=gpu_overhead_bytes if index and compute else 0,
            )
        )
    is_complete = footprint.facts.state_bytes_per_sequence is not None
    return MemoryEstimate(devices=tuple(devices), is_complete=is_complete)


def _homes(footprint: ModelFootprint, n_gpu_layers: int, gpus: Sequence[DeviceRoom]) -> tuple[list[int], int]:
    """Say on which device each block lies, and the output: 0 is the host (`llama_model::load_tensors`)."""
    n_all = len(footprint.layer_bytes)
    wanted = n_all + 1 if n_gpu_layers < 0 else n_gpu_layers
    first, n_there = max(n_all + 1 - wanted, 0), min(wanted, n_all + 1)
    free = [max(0, gpu.free_bytes) for gpu in gpus]
    if not sum(free):
        free = [1] * len(gpus)
    ends = [end / sum(free) for end in accumulate(free)]

    def home(layer: int) -> int:
        if not gpus or layer < first or layer - first >= n_there:
            return 0
        return 1 + min(bisect_right(ends, (layer - first) / n_there), len(gpus) - 1)

    return [home(layer) for layer in range(n_all)], home(n_all)


def _weights(footprint: ModelFootprint, homes: Sequence[int], output_home: int, n_devices: int) -> list[int]:
    weights = [0] * n_devices
    weights[0] += footprint.input_bytes
    weights[output_home] += footprint.output_bytes
    if footprint.is_tied and output_home:
        weights[output_home] += footprint.input_bytes
    for layer, n_bytes in enumerate(footprint.layer_bytes):
        weights[homes[layer]] += n_bytes
    return weights


def _repacked(footprint: ModelFootprint, homes: Sequence[int], output_home: int) -> int:
    here = [n for n, home in zip(footprint.repacked_layer_bytes, homes, strict=True) if home == 0]
    return sum(here) + (0 if output_home else footprint.repacked_output_bytes)


def _kv(facts: GgufFacts, context: ContextOptions, homes: Sequence[int], n_devices: int) -> list[int]:
    """Count the cells. Layers with a window keep as many as the others: their cache is made in full."""
    rows = cell_bytes_of_layers(
        facts,
        type_k=context.type_k,
        type_v=context.type_v,
        flash_attention=context.flash_attention,
    )
    total = [0] * n_devices
    for layer, row in enumerate(rows):
        total[homes[layer]] += row * context.n_ctx
    return total


def _states(facts: GgufFacts, context: ContextOptions, homes: Sequence[int], n_devices: int) -> list[int]:
    recurrent = [layer for layer, is_one in enumerate(facts.layers.is_recurrent) if is_one]
    each = (facts.state_bytes_per_sequence or 0) * context.n_seq // max(1, len(recurrent))
    total = [0] * n_devices
    for layer in recurrent:
        total[homes[layer]] += each
    return total
