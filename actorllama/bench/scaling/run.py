"""``actorllama bench scaling``: cost against size, as curves with exponents."""

from __future__ import annotations

from collections.abc import Callable

import trio

from actorllama.bench.facts import BenchStart, MeasuredModel
from actorllama.bench.scaling.actors import actor_curves
from actorllama.bench.scaling.context import context_curves
from actorllama.bench.scaling.conversations import conversation_curves
from actorllama.bench.scaling.curve import Curve
from actorllama.bench.scaling.options import ScalingBenchOptions
from actorllama.bench.scaling.report import ScalingReport
from actorllama.bench.scaling.sequences import sequence_curves
from actorllama.native import BuildInfo

__all__ = ["run_scaling_bench"]


async def run_scaling_bench(
    options: ScalingBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> ScalingReport:
    """Measure the axes one after the other.

    Raises:
        ModelLoadError: The model cannot be used.

    Cost: 2 minutes with the default options on two cores, at the 15m shape.
    """
    began = BenchStart.now()
    curves: list[Curve] = []
    cpu_s: float | None = None
    if "sequences" in options.axes:
        found = await sequence_curves(options, on_progress)
        curves += found.curves
        cpu_s = found.cpu_s_per_1000_tokens
    if "context" in options.axes:
        curves += await context_curves(options, on_progress)
    if "conversations" in options.axes:
        curves += await conversation_curves(options, on_progress)
    if "actors" in options.axes:
        curves += await actor_curves(options, on_progress)
    build: BuildInfo | None = None
    model: MeasuredModel | None = None
    if options.needs_model:
        build = await trio.to_thread.run_sync(_build_info)
        model = MeasuredModel.of(options.model, options.label)
    return ScalingReport(
        facts=began.facts(build=build, model=model),
        options=options,
        curves=tuple(curves),
        cpu_s_per_1000_tokens=cpu_s,
    )


def _build_info() -> BuildInfo:
    from actorllama.native.llama import LlamaBackend

    return LlamaBackend().build_info()
