"""What conversations cost that begin alike: ``actorllama bench conversation``."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import trio
from attrs import frozen

from actorllama.bench.conversation_report import (
    ConversationBenchOptions,
    ConversationReport,
    ConversationSide,
    SaidTurn,
)
from actorllama.bench.facts import BenchStart, MeasuredModel
from actorllama.bench.harness import CpuMeter
from actorllama.bench.warm_bare import WarmBare
from actorllama.bench.warm_options import prompt_tokens
from actorllama.config import Config
from actorllama.engine import EngineOptions, TurnResult
from actorllama.kvcache import CacheOptions
from actorllama.kvcache.events import ENTRY_PUBLISHED
from actorllama.native import BuildInfo
from actorllama.runtime import LoadOptions, Model, Runtime, open_runtime
from actorllama.telemetry import Bus, record

__all__ = ["run_conversation_bench"]

_N_MEASURED = 64  # cells between two states: their difference is what cells take, without headers


async def run_conversation_bench(
    options: ConversationBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> ConversationReport:
    """Hold the conversations with the cache and, as the bare thing, without; count tokens and bytes.

    All of them take their turns at the same time, one turn each, then the next. A conversation is what was
    said so far, as token ids: every prompt begins with all prompts and replies before it.

    Raises:
        ModelLoadError: The model cannot be used.
    """
    began, cpu = BenchStart.now(), CpuMeter()
    with tempfile.TemporaryDirectory(prefix="actorllama-bench-") as name:
        on_progress(f"{options.label}: without the cache")
        without = await _hold(options, None, on_progress, CpuMeter())
        on_progress(f"{options.label}: with the cache")
        cached = await _hold(options, Path(name), on_progress, cpu)
    return ConversationReport(
        options=options,
        facts=began.facts(build=cached.build, model=MeasuredModel.of(options.model, options.label)),
        cpu_s_per_1000_tokens=cpu.s_per_1000_tokens,
        cell_bytes=cached.cell_bytes,
        written_bytes=cached.written_bytes,
        n_files=cached.n_files,
        cached=ConversationSide(turns=tuple(cached.turns)),
        bare=ConversationSide(turns=tuple(without.turns)),
    )


@frozen(kw_only=True)
class _Held:
    turns: list[SaidTurn]
    build: BuildInfo
    cell_bytes: float
    written_bytes: int
    n_files: int


async def _hold(
    options: ConversationBenchOptions, root: Path | None, on_progress: Callable[[str], None], cpu: CpuMeter
) -> _Held:
    is_cached = root is not None
    config = Config(
        cache=CacheOptions(block_tokens=options.block_tokens, pending_limit_bytes=4 << 30),
        engine=EngineOptions(prefix_cache=is_cached),
    )
    load = LoadOptions(
        n_seq=options.n_seq, ctx_per_seq=options.n_cells_of_one + 8, n_threads=options.n_threads
    )
    bus = Bus()
    turns: list[SaidTurn] = []
    with record(bus, ENTRY_PUBLISHED) as heard:
        async with open_runtime(config, bus=bus, state_dir=root) as rt:
            build = rt.build_info()
            model = await rt.load("measured", options.model, **load)
            cell_bytes = await _cell_bytes(rt, options.model, model)
            with cpu.measuring(options.n_conversations * options.n_turns * options.n_reply):
                await _Talks(options, model, turns, on_progress).run(is_kept=is_cached)
        # The runtime has ended: whatever was to be written is.
        published = [
            fact
            for fact in heard.facts
            if fact.metadata["tier"] == "disk" and fact.metadata["how"] == "published"
        ]
    return _Held(
        turns=turns,
        build=build,
        cell_bytes=cell_bytes,
        written_bytes=int(sum(fact.measurements["entry_bytes"] for fact in published)),
        n_files=len(published),
    )


async def _cell_bytes(rt: Runtime, path: Path, model: Model) -> float:
    """Measure what a cell takes in a saved state."""
    bare = await WarmBare.open(rt, path, model.context_options)
    try:
        sizes: list[int] = []
        for n_tokens in (_N_MEASURED, 2 * _N_MEASURED):
            await bare.prefill_s(prompt_tokens(n_tokens, "size"))
            sizes.append(len(await bare.state()))
        return (sizes[1] - sizes[0]) / _N_MEASURED
    finally:
        with trio.CancelScope(shield=True):
            await bare.close()


class _Talks:
    """All conversations. Owner: the task that runs them."""

    def __init__(
        self,
        options: ConversationBenchOptions,
        model: Model,
        turns: list[SaidTurn],
        on_progress: Callable[[str], None],
    ) -> None:
        self._options = options
        self._model = model
        self._turns = turns
        self._on_progress = on_progress
        system = prompt_tokens(options.n_system, "system prompt")
        self._said = [list(system) for _ in range(options.n_conversations)]

    async def run(self, *, is_kept: bool) -> None:
        """Take all turns, in rounds of one of each conversation."""
        await self._model.complete(prompt_tokens(_N_MEASURED // 2, "warm-up"), max_tokens=1)
        for turn in range(self._options.n_turns):
            async with trio.open_nursery() as nursery:
                for number in range(self._options.n_conversations):
                    nursery.start_soon(self._say, turn, number, is_kept)
            self._on_progress(f"turn {turn + 1}/{self._options.n_turns}")

    async def _say(self, turn: int, number: int, is_kept: bool) -> None:  # noqa: FBT001 - start_soon takes no keywords
        options, said = self._options, self._said[number]
        said += prompt_tokens(options.n_user, f"turn {turn} of {number}")
        bias = dict.fromkeys(self._model.end_tokens, -math.inf)
        result: TurnResult = await self._model.complete(
            list(said), max_tokens=options.n_reply, keep=is_kept, logit_bias=bias, seed=number
        )
        said += result.tokens
        self._turns.append(
            SaidTurn(
                turn=turn,
                n_prompt=result.usage.n_prompt,
                n_cached=result.usage.n_cached,
                source=result.usage.source,
                first_token_s=result.timings.first_token_s,
                queue_s=result.timings.queue_s,
            )
        )
