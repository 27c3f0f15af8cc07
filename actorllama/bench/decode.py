"""How much of the bare loop's speed a turn gets: ``actorllama bench decode``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import trio

from actorllama.bench.bare_loop import BareLoop
from actorllama.bench.decode_report import DecodeBenchOptions, DecodeReport, DecodeRound
from actorllama.bench.decode_turns import StepClock, prompt_of, steady_rate, take_turns, whole_rate
from actorllama.bench.facts import BenchStart, MeasuredModel
from actorllama.bench.harness import CpuMeter
from actorllama.bench.telemetry_cost import run_telemetry_cost
from actorllama.config import Config
from actorllama.engine import EngineHost
from actorllama.runtime import Model, open_runtime
from actorllama.telemetry import Bus

__all__ = ["run_decode_bench"]


async def run_decode_bench(
    options: DecodeBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> DecodeReport:
    """Measure the bare loop, the runtime, the bare loop; in one process, on one host thread.

    Bare: ``llama_decode`` alone on a batch of one row per sequence, no sampling, no text. Runtime:
    as many turns with the default filters, while all of them decode.

    Raises:
        ModelLoadError: The model cannot be used.
    """
    began = BenchStart.now()
    bus = Bus()
    cpu, bare_cpu = CpuMeter(), CpuMeter()
    clock = StepClock()
    async with open_runtime(Config(), bus=bus, make_host=lambda: EngineHost(probe=clock)) as rt:
        on_progress(f"loading {options.label}")
        model = await rt.load(
            "measured",
            options.model,
            n_seq=options.n_seq,
            ctx_per_seq=options.ctx_per_seq,
            n_threads=options.n_threads,
        )
        for index in range(options.n_other_models):
            other = await rt.load(f"other{index}", options.model, n_seq=2, ctx_per_seq=256)
            await other.complete(list(prompt_of(0)), max_tokens=4)
        host = await rt.host()
        bare = await trio.to_thread.run_sync(BareLoop.open, rt, options)
        try:
            rounds = await _rounds(options, model, bare, host, clock, on_progress, cpu=cpu, bare_cpu=bare_cpu)
        finally:
            await trio.to_thread.run_sync(bare.close)
        telemetry = None
        if options.has_telemetry:
            telemetry = await run_telemetry_cost(options, model, bus, on_progress)
        return DecodeReport(
            options=options,
            facts=began.facts(build=rt.build_info(), model=MeasuredModel.of(options.model, options.label)),
            rounds=tuple(rounds),
            telemetry=telemetry,
            cpu_s_per_1000_tokens=cpu.s_per_1000_tokens,
            bare_cpu_s_per_1000_tokens=bare_cpu.s_per_1000_tokens,
        )


async def _rounds(
    options: DecodeBenchOptions,
    model: Model,
    bare: BareLoop,
    host: EngineHost,
    clock: StepClock,
    on_progress: Callable[[str], None],
    *,
    cpu: CpuMeter,
    bare_cpu: CpuMeter,
) -> Sequence[DecodeRound]:
    async def bare_rate_now() -> float:
        with bare_cpu.measuring(options.n_seq * options.n_tokens):
            return await trio.to_thread.run_sync(lambda: host.run(bare.rate).result())

    rounds: list[DecodeRound] = []
    for index in range(options.n_rounds + 1):
        # Bare before and after: a machine whose speed drifts does so for both.
        before = await bare_rate_now()
        clock.take()
        taken = await take_turns(options, model, index, cpu)
        # On the host's thread: by then it has left the last step.
        called_at_s = await trio.to_thread.run_sync(lambda: host.run(clock.take).result())
        steady = steady_rate(taken, called_at_s)
        runtime_rate = whole_rate(taken) if steady is None else steady
        after = await bare_rate_now()
        if index == 0:  # warm-up
            cpu.clear()
            bare_cpu.clear()
            continue
        bare_rate = statistics.harmonic_mean((before, after))
        rounds.append(
            DecodeRound(
                bare_tokens_per_s=bare_rate,
                runtime_tokens_per_s=runtime_rate,
                is_steady=steady is not None,
            )
        )
        on_progress(
            f"round {index}/{options.n_rounds}: bare {bare_rate:.0f}, runtime {runtime_rate:.0f} tokens/s"
        )
    return rounds
