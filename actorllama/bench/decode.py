"""How much of the bare loop's speed a turn gets: ``actorllama bench decode``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import trio
from attrs import Factory, define

from actorllama.bench.bare_loop import BareLoop
from actorllama.bench.decode_blocks import N_BLOCK, BlockPair, StepBlocks, pairs_within
from actorllama.bench.decode_report import DecodeBenchOptions, DecodeReport, DecodeRound
from actorllama.bench.decode_turns import prompt_of, take_turns, whole_rate
from actorllama.bench.facts import BenchStart, MeasuredModel
from actorllama.bench.harness import CpuMeter
from actorllama.bench.telemetry_cost import run_telemetry_cost
from actorllama.config import Config
from actorllama.engine import EngineHost
from actorllama.runtime import Model, open_runtime
from actorllama.telemetry import Bus

__all__ = ["run_decode_bench"]

R = TypeVar("R")
_LEAST_TOKENS: Final = 2 * N_BLOCK  # of turns that may hold a block from which none is missing


async def run_decode_bench(
    options: DecodeBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> DecodeReport:
    """Measure steps of the runtime and of the bare loop in turns; in one process, on one host thread.

    Bare: ``llama_decode`` alone on a batch of one row per sequence, no sampling, no text. Runtime:
    as many turns with the default filters, while all of them decode.

    Raises:
        ModelLoadError: The model cannot be used.
    """
    began = BenchStart.now()
    bus = Bus()
    blocks = StepBlocks()
    async with open_runtime(
        Config(), bus=bus, make_host=lambda: EngineHost(probe=blocks, clock=blocks.clock)
    ) as rt:
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
        bare = await trio.to_thread.run_sync(BareLoop.open, rt, options)
        sides = _Sides(options=options, model=model, bare=bare, host=await rt.host(), blocks=blocks)
        rounds: list[DecodeRound] = []
        try:
            for index in range(options.n_rounds + 1):
                found = await sides.measure(index)
                if index == 0:  # warm-up
                    sides.clear()
                    continue
                rounds.append(found)
                on_progress(
                    f"round {index}/{options.n_rounds}: bare {found.bare_tokens_per_s:.0f}, "
                    f"runtime {found.runtime_tokens_per_s:.0f} tokens/s"
                )
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(bare.close)
        telemetry = None
        if options.has_telemetry:
            telemetry = await run_telemetry_cost(options, model, bus, on_progress)
        return DecodeReport(
            options=options,
            facts=began.facts(build=rt.build_info(), model=MeasuredModel.of(options.model, options.label)),
            rounds=tuple(rounds),
            telemetry=telemetry,
            cpu_s_per_1000_tokens=sides.cpu.s_per_1000_tokens,
            bare_cpu_s_per_1000_tokens=sides.bare_cpu.s_per_1000_tokens,
        )


@define(kw_only=True)
class _Sides:
    """What is compared. Owner: the bench."""

    options: DecodeBenchOptions
    model: Model
    bare: BareLoop
    host: EngineHost
    blocks: StepBlocks
    cpu: CpuMeter = Factory(CpuMeter)
    bare_cpu: CpuMeter = Factory(CpuMeter)

    def clear(self) -> None:
        """Forget what the warm-up cost."""
        self.cpu.clear()
        self.bare_cpu.clear()

    async def measure(self, index: int) -> DecodeRound:
        """Measure one round: in turns, if all turns are there for long enough."""
        if self.options.n_tokens >= _LEAST_TOKENS:
            found = await self._in_blocks(index)
            if found is not None:
                return found
        return await self._one_after_the_other(index)

    async def _in_blocks(self, index: int) -> DecodeRound | None:
        options, blocks, bare = self.options, self.blocks, self.bare
        bare_cpu_before_s = self.bare_cpu.cpu_s

        def begin() -> None:
            bare.begin()
            blocks.begin(bare.step, n_steps=options.n_tokens, n_seq=options.n_seq, cpu=self.bare_cpu)

        found: Sequence[BlockPair] = ()
        await self._on_host(begin)
        try:
            taken = await take_turns(options, self.model, index, self.cpu)
        finally:
            with trio.CancelScope(shield=True):  # a bare step may still run, and its context is closed next
                found = await self._on_host(blocks.take)
        self.cpu.cpu_s -= self.bare_cpu.cpu_s - bare_cpu_before_s  # spent within the turns
        first_s, last_s = max(one.began_s for one in taken), min(one.ended_s for one in taken)
        pairs = pairs_within(found, first_s=first_s, last_s=last_s)
        if not pairs:
            return None
        return DecodeRound(
            bare_tokens_per_s=options.n_seq / statistics.mean(pair.bare_step_s for pair in pairs),
            runtime_tokens_per_s=options.n_seq / statistics.mean(pair.runtime_step_s for pair in pairs),
            neighbours=tuple(pair.ratio for pair in pairs),
        )

    async def _one_after_the_other(self, index: int) -> DecodeRound:
        # Bare before and after: a machine whose speed drifts does so for both.
        before = await self._bare_rate()
        taken = await take_turns(self.options, self.model, index, self.cpu)
        after = await self._bare_rate()
        return DecodeRound(
            bare_tokens_per_s=statistics.harmonic_mean((before, after)),
            runtime_tokens_per_s=whole_rate(taken),
        )

    async def _bare_rate(self) -> float:
        with self.bare_cpu.measuring(self.options.n_seq * self.options.n_tokens):
            return await self._on_host(self.bare.rate)

    async def _on_host(self, work: Callable[[], R]) -> R:
        return await trio.to_thread.run_sync(lambda: self.host.run(work).result())
