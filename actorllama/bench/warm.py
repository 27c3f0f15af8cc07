"""How soon the first token comes when the prefix is warm: ``actorllama bench warm``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from actorllama.bench.facts import BenchStart, MeasuredModel
from actorllama.bench.warm_gaps import measure_gaps
from actorllama.bench.warm_options import WarmBenchOptions, WarmSource, prompt_tokens
from actorllama.bench.warm_report import NeighbourGaps, WarmCase, WarmReport
from actorllama.bench.warm_restart import restart_case
from actorllama.bench.warm_session import WarmSession, prefix_name, state_path

__all__ = ["run_warm_bench"]

_N_GAPS = 4096  # the design's prefix; the next shorter one where there is none


async def run_warm_bench(
    options: WarmBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> WarmReport:
    """Time turns whose prefix comes from each place, each beside the bare thing on the same thread.

    Three runtimes share one directory: one with RAM (cold, live, ram), one without (disk), and for each turn
    of ``restart`` a new process.

    Raises:
        ModelLoadError: The model cannot be used.
        RequestError: The context would be too long.
    """
    bench = _Bench(options, on_progress)
    with tempfile.TemporaryDirectory(prefix="actorllama-bench-") as name:
        return await bench.run(Path(name))


class _Bench:
    """The cases found so far. Owner: the task that runs it."""

    def __init__(self, options: WarmBenchOptions, on_progress: Callable[[str], None]) -> None:
        self._options = options
        self._on_progress = on_progress
        self._cases: list[WarmCase] = []
        self._modes = (0, options.n_neighbours) if options.n_neighbours else (0,)

    async def run(self, root: Path) -> WarmReport:
        options, began = self._options, BenchStart.now()
        gaps: NeighbourGaps | None = None
        self._on_progress(f"loading {options.label}")
        async with WarmSession.open(options, root) as session:
            build = session.build
            for n_tokens in options.prefixes:
                await self._in_memory(session, root, n_tokens)
            if options.n_neighbours and "ram" in options.sources:
                n_tokens = max((n for n in options.prefixes if n <= _N_GAPS), default=min(options.prefixes))
                self._on_progress(f"neighbours of {n_tokens} tokens")
                gaps = await measure_gaps(session, options, n_tokens)
        if "disk" in options.sources:
            async with WarmSession.open(options, root, ram_limit_bytes=0) as session:
                for n_tokens in options.prefixes:
                    await self._saved(session, root, n_tokens, "disk")
        if "restart" in options.sources:
            for n_tokens in options.prefixes:
                for n_neighbours in self._modes:
                    self._add(await restart_case(options, root, n_tokens, n_neighbours))
        order = {source: place for place, source in enumerate(("cold", "live", "ram", "disk", "restart"))}
        self._cases.sort(key=lambda case: (case.n_tokens, order[case.source], case.neighbours))
        facts = began.facts(build=build, model=MeasuredModel.of(options.model, options.label))
        return WarmReport(options=options, facts=facts, cases=tuple(self._cases), gaps=gaps)

    async def _in_memory(self, session: WarmSession, root: Path, n_tokens: int) -> None:
        """Measure what needs the process that has computed the prefix, and leave it on disk."""
        options, n_rounds = self._options, self._options.n_rounds
        prefix = prompt_tokens(n_tokens, prefix_name(n_tokens))
        if "cold" in options.sources:
            shoot = partial(session.cold, n_tokens, 0)
            self._add(await session.case(n_tokens, "cold", 0, shoot, n_rounds=n_rounds))
        else:
            await session.turn(prefix, keep=True)
            await session.bare.prefill_s(prefix)
        state_path(root, n_tokens).write_bytes(await session.bare.state())
        if "live" in options.sources:
            for n_neighbours in self._modes:
                shoot = partial(session.live, n_tokens, n_neighbours)
                self._add(await session.case(n_tokens, "live", n_neighbours, shoot, n_rounds=n_rounds))
        if "ram" in options.sources:
            await self._saved(session, root, n_tokens, "ram")
        if "cold" in options.sources and options.n_neighbours:
            shoot = partial(session.cold, n_tokens, options.n_neighbours)
            self._add(await session.case(n_tokens, "cold", options.n_neighbours, shoot, n_rounds=n_rounds))

    async def _saved(self, session: WarmSession, root: Path, n_tokens: int, source: WarmSource) -> None:
        state = memoryview(bytearray(state_path(root, n_tokens).read_bytes()))
        for n_neighbours in self._modes:
            shoot = partial(session.saved, n_tokens, n_neighbours, source=source, state=state)
            case = await session.case(n_tokens, source, n_neighbours, shoot, n_rounds=self._options.n_rounds)
            self._add(case)

    def _add(self, case: WarmCase) -> None:
        self._cases.append(case)
        said = case.error or f"{case.first_token_s * 1000:.1f} ms, {case.ratio:.2f} x bare"
        self._on_progress(f"{case.n_tokens} tokens, {case.source}, {case.neighbours} neighbours: {said}")
