"""Will it fit; and if not, what would."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from attrs import evolve, frozen

from actorllama.errors import ModelLoadError
from actorllama.native.gguf_facts import GgufFacts
from actorllama.native.memory_estimate import (
    HOST_NAME,
    DeviceEstimate,
    DeviceRoom,
    MemoryEstimate,
    estimate_memory,
)
from actorllama.native.memory_footprint import ModelFootprint
from actorllama.native.options import ContextOptions, ModelOptions

__all__ = ["Alternative", "Fit", "Shortage", "what_fits"]

_CELL_STEP: Final = 256
_BLOCK: Final = 32
_SMALLER_KV: Final = ("q8_0", "q4_0")


@frozen(kw_only=True)
class Shortage:
    """A device that has less free than it will be asked for."""

    name: str
    needed_bytes: int
    free_bytes: int


@frozen(kw_only=True)
class Alternative:
    """A change that makes it fit; ``words`` as a user would write it."""

    words: str
    context: ContextOptions
    model: ModelOptions


@frozen(kw_only=True)
class Fit:
    """An answer: what is needed, what is short, and what would fit instead, the least change first."""

    estimate: MemoryEstimate
    shortages: tuple[Shortage, ...] = ()
    alternatives: tuple[Alternative, ...] = ()

    @property
    def is_fitting(self) -> bool:
        """Say whether every device has room."""
        return not self.shortages

    def error(self, path: str) -> ModelLoadError | None:
        """Make the refusal, with the numbers; ``None`` if it fits."""
        if self.is_fitting:
            return None
        reasons = [
            f"{short.name} would hold {_mib(short.needed_bytes)} ({_parts(self.estimate.of(short.name))}) "
            f"and has {_mib(short.free_bytes)} free"
            for short in self.shortages
        ]
        if self.alternatives:
            hint = f"This fits: {'; or '.join(alternative.words for alternative in self.alternatives)}."
        else:
            hint = "Nothing of it fits: free memory, or load a smaller model."
        return ModelLoadError(path=path, reason="; ".join(reasons), hint=hint)


def what_fits(
    footprint: ModelFootprint,
    context: ContextOptions,
    model: ModelOptions | None = None,
    *,
    host_free_bytes: int | None = None,
    gpus: Sequence[DeviceRoom] = (),
    gpu_overhead_bytes: int = 0,
) -> Fit:
    """Say whether a model with this context fits, and look for what would.

    Looked for are, each alone: fewer sequences, shorter ones, smaller KV types, fewer layers on GPUs.

    Args:
        footprint: The model.
        context: The context that is wanted.
        model: How many layers go to GPUs.
        host_free_bytes: What is free on the host; ``None`` asks nothing of the host.
        gpus: The GPUs that llama.cpp will use, in its order, and what is free on each.
        gpu_overhead_bytes: What the driver takes on each GPU that is used for the first time.

    Cost: some milliseconds, where it does not fit.
    """
    wanted = model or ModelOptions()

    def look(context: ContextOptions, model: ModelOptions) -> Fit:
        estimate = estimate_memory(
            footprint, context, model, gpus=gpus, gpu_overhead_bytes=gpu_overhead_bytes
        )
        return Fit(estimate=estimate, shortages=tuple(_shortages(estimate, host_free_bytes, gpus)))

    def fits(context: ContextOptions, model: ModelOptions) -> bool:
        return look(context, model).is_fitting

    fit = look(context, wanted)
    if fit.is_fitting:
        return fit
    return evolve(
        fit, alternatives=tuple(_alternatives(footprint, context, wanted, fits, has_gpus=bool(gpus)))
    )


def _shortages(
    estimate: MemoryEstimate, host_free_bytes: int | None, gpus: Sequence[DeviceRoom]
) -> Iterable[Shortage]:
    rooms = {gpu.name: gpu.free_bytes for gpu in gpus}
    if host_free_bytes is not None:
        rooms[HOST_NAME] = host_free_bytes
    for device in estimate.devices:
        free = rooms.get(device.name)
        if free is not None and device.total_bytes > free:
            yield Shortage(name=device.name, needed_bytes=device.total_bytes, free_bytes=free)


def _alternatives(
    footprint: ModelFootprint,
    context: ContextOptions,
    model: ModelOptions,
    fits: Callable[[ContextOptions, ModelOptions], bool],
    *,
    has_gpus: bool,
) -> Iterable[Alternative]:
    for kind in _SMALLER_KV if _has_heads_of_blocks(footprint.facts) else ():
        changed = evolve(context, type_k=kind, type_v=kind, flash_attention=True)
        if changed != context and fits(changed, model):
            words = f"type_k = type_v = {kind!r} with flash_attention (faithful, not exact)"
            yield Alternative(words=words, context=changed, model=model)
            break
    n_seq = _largest(1, context.n_seq - 1, lambda n: fits(evolve(context, n_seq=n), model))
    if n_seq is not None:
        changed = evolve(context, n_seq=n_seq)
        yield Alternative(words=f"n_seq = {n_seq}", context=changed, model=model)
    n_steps = (context.padded_ctx_per_seq - 1) // _CELL_STEP
    steps = _largest(1, n_steps, lambda n: fits(evolve(context, ctx_per_seq=n * _CELL_STEP), model))
    if steps is not None:
        changed = evolve(context, ctx_per_seq=steps * _CELL_STEP)
        yield Alternative(words=f"ctx_per_seq = {steps * _CELL_STEP}", context=changed, model=model)
    if has_gpus:
        n_all = len(footprint.layer_bytes) + 1
        most = (n_all if model.n_gpu_layers < 0 else min(model.n_gpu_layers, n_all)) - 1
        n_layers = _largest(0, most, lambda n: fits(context, evolve(model, n_gpu_layers=n)))
        if n_layers is not None:
            fewer = evolve(model, n_gpu_layers=n_layers)
            yield Alternative(words=f"n_gpu_layers = {n_layers}", context=context, model=fewer)


def _has_heads_of_blocks(facts: GgufFacts) -> bool:
    """Say whether heads can be stored in blocks of 32 numbers; llama.cpp refuses others."""
    widths = (facts.key_width, facts.value_width, facts.key_width_swa, facts.value_width_swa)
    return any(facts.layers.heads_kv) and all(width % _BLOCK == 0 for width in widths)


def _largest(least: int, most: int, is_good: Callable[[int], bool]) -> int | None:
    """Find the largest good number, if all below a good one are good; ``None`` if the least is not."""
    if most < least or not is_good(least):
        return None
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if is_good(middle) else (least, middle - 1)
    return least


def _parts(device: DeviceEstimate) -> str:
    parts = {
        "weights": device.weights_bytes,
        "repacked weights": device.repacked_bytes,
        "KV cells": device.kv_bytes,
        "recurrent states": device.state_bytes,
        "compute buffer": device.compute_bytes,
        "logits": device.output_bytes,
        "driver": device.overhead_bytes,
    }
    return ", ".join(f"{name} {_mib(n_bytes)}" for name, n_bytes in parts.items() if n_bytes)


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 20):,.1f} MiB"
