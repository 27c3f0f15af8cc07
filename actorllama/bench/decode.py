"""How much of the bare loop's speed a turn gets: ``actorllama bench decode``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import trio
from attrs import frozen

from actorllama.bench.handlers import all_handlers
from actorllama.bench.machine import MachineFacts, machine_facts
from actorllama.config import Config
from actorllama.engine import EngineHost, TurnResult
from actorllama.errors import RequestError
from actorllama.native import Backend, ContextOptions, InferenceContext, ModelOptions, StepBatch
from actorllama.runtime import Model, Runtime, open_runtime
from actorllama.telemetry import Bus

__all__ = ["DecodeBenchOptions", "DecodeReport", "DecodeRound", "run_decode_bench"]

_N_PROMPT = 16


@frozen(kw_only=True)
class DecodeBenchOptions:
    """What to measure."""

    model: Path
    label: str
    n_seq: int = 8
    n_tokens: int = 64
    """Tokens of each turn, after its first."""
    n_rounds: int = 7
    n_threads: int = 0
    is_streamed: bool = True
    """Read every turn token by token; otherwise wait for whole results."""
    n_other_models: int = 0
    """Idle models loaded beside the measured one."""
    has_telemetry: bool = False
    """Measure each round also with every handler attached."""

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        bounds = (
            ("n", self.n_seq, 1, 256),
            ("tokens", self.n_tokens, 4, 1 << 16),
            ("rounds", self.n_rounds, 1, 1000),
        )
        for field, value, low, high in bounds:
            if not low <= value <= high:
                raise RequestError(field=field, value=value, reason=f"must be {low} to {high}")

    @property
    def ctx_per_seq(self) -> int:
        """Room for the prompt and the reply."""
        return _N_PROMPT + self.n_tokens + 8


@frozen(kw_only=True)
class DecodeRound:
    """The runtime, and the mean of the bare loop before and after it."""

    bare_tokens_per_s: float
    runtime_tokens_per_s: float
    telemetry_tokens_per_s: float | None = None
    """With every handler attached; ``None`` if that was not measured."""

    @property
    def ratio(self) -> float:
        """Runtime against bare."""
        return self.runtime_tokens_per_s / self.bare_tokens_per_s

    @property
    def telemetry_ratio(self) -> float | None:
        """With handlers against without."""
        rate = self.telemetry_tokens_per_s
        return None if rate is None else rate / self.runtime_tokens_per_s


@frozen(kw_only=True)
class DecodeReport:
    """All rounds, and how to read them: quote the median ratio, not single speeds."""

    options: DecodeBenchOptions
    machine: MachineFacts
    rounds: tuple[DecodeRound, ...]
    handlers: tuple[str, ...] = ()
    """What was attached for ``telemetry_ratio``."""

    @property
    def telemetry_ratio(self) -> float | None:
        """Median of with handlers against without; ``None`` if that was not measured."""
        ratios = [item.telemetry_ratio for item in self.rounds if item.telemetry_ratio is not None]
        return statistics.median(ratios) if ratios else None

    @property
    def bare_tokens_per_s(self) -> float:
        """Median of the bare loop."""
        return statistics.median(item.bare_tokens_per_s for item in self.rounds)

    @property
    def runtime_tokens_per_s(self) -> float:
        """Median of the runtime."""
        return statistics.median(item.runtime_tokens_per_s for item in self.rounds)

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios: each compares neighbours in time, so drift cancels."""
        return statistics.median(item.ratio for item in self.rounds)

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values."""
        ratios = [item.ratio for item in self.rounds]
        return {
            "bench": "decode",
            "model": self.options.label,
            "n_seq": self.options.n_seq,
            "n_tokens": self.options.n_tokens,
            "is_streamed": self.options.is_streamed,
            "n_other_models": self.options.n_other_models,
            "bare_tokens_per_s": round(self.bare_tokens_per_s, 2),
            "runtime_tokens_per_s": round(self.runtime_tokens_per_s, 2),
            "ratio": round(self.ratio, 4),
            "ratio_min": round(min(ratios), 4),
            "ratio_max": round(max(ratios), 4),
            "rounds": [
                {"bare": round(r.bare_tokens_per_s, 2), "runtime": round(r.runtime_tokens_per_s, 2)}
                for r in self.rounds
            ],
            "machine": self.machine.to_json(),
            **self._telemetry(),
        }

    def _telemetry(self) -> dict[str, object]:
        if self.telemetry_ratio is None:
            return {}
        rates = [item.telemetry_tokens_per_s or 0.0 for item in self.rounds]
        return {
            "telemetry_ratio": round(self.telemetry_ratio, 4),
            "telemetry_tokens_per_s": round(statistics.median(rates), 2),
            "telemetry_handlers": list(self.handlers),
        }

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        ratios = sorted(item.ratio for item in self.rounds)
        how = "streamed token by token" if self.options.is_streamed else "whole results"
        told = []
        if self.telemetry_ratio is not None:
            names = ", ".join(self.handlers)
            told = [f"  all handlers attached   {self.telemetry_ratio:10.3f} of the runtime without: {names}"]
        return [
            f"{self.options.label}: {self.options.n_seq} sequences x {self.options.n_tokens} tokens, {how}",
            f"  bare llama_decode loop  {self.bare_tokens_per_s:10.1f} tokens/s",
            f"  actorllama runtime      {self.runtime_tokens_per_s:10.1f} tokens/s, with sampling and text",
            f"  ratio                   {self.ratio:10.3f}"
            f", from {ratios[0]:.3f} to {ratios[-1]:.3f} in {len(ratios)} rounds",
            *told,
            "Not shown: prompt processing, quality, long contexts, other machines.",
        ]


async def run_decode_bench(
    options: DecodeBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> DecodeReport:
    """Measure the bare loop, the runtime, the bare loop; in one process, on one host thread.

    Bare: ``llama_decode`` alone on a batch of one row per sequence, no sampling, no text. Runtime:
    as many turns with the default filters, from the first token of any to the last of all.

    Raises:
        ModelLoadError: The model cannot be used.
    """
    bus = Bus()
    async with open_runtime(Config(), bus=bus) as rt:
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
            await other.complete(list(_prompt(0)), max_tokens=4)
        host = await rt.host()
        bare = await trio.to_thread.run_sync(_Bare.open, rt, options)
        try:
            rounds, handlers = await _rounds(options, model, bare, host, bus, on_progress)
        finally:
            await trio.to_thread.run_sync(bare.close)
        machine = machine_facts(rt.build_info())
        return DecodeReport(options=options, machine=machine, rounds=tuple(rounds), handlers=handlers)


async def _rounds(
    options: DecodeBenchOptions,
    model: Model,
    bare: _Bare,
    host: EngineHost,
    bus: Bus,
    on_progress: Callable[[str], None],
) -> tuple[Sequence[DecodeRound], tuple[str, ...]]:
    rounds: list[DecodeRound] = []
    handlers: tuple[str, ...] = ()
    for index in range(options.n_rounds + 1):
        # Bare before and after: a machine whose speed drifts does so for both.
        before = await trio.to_thread.run_sync(lambda: host.run(bare.rate).result())
        told_rate = None
        is_told_first = options.has_telemetry and index % 2 == 1  # neither side is always the later one
        if is_told_first:
            told_rate, handlers = await _told_rate(options, model, index, bus)
        runtime_rate = await _runtime_rate(options, model, index)
        if options.has_telemetry and not is_told_first:
            told_rate, handlers = await _told_rate(options, model, index, bus)
        after = await trio.to_thread.run_sync(lambda: host.run(bare.rate).result())
        if index == 0:
            continue  # warm-up
        bare_rate = statistics.harmonic_mean((before, after))
        rounds.append(
            DecodeRound(
                bare_tokens_per_s=bare_rate,
                runtime_tokens_per_s=runtime_rate,
                telemetry_tokens_per_s=told_rate,
            )
        )
        on_progress(
            f"round {index}/{options.n_rounds}: bare {bare_rate:.0f}, runtime {runtime_rate:.0f} tokens/s"
        )
    return rounds, handlers


async def _told_rate(
    options: DecodeBenchOptions, model: Model, index: int, bus: Bus
) -> tuple[float, tuple[str, ...]]:
    with all_handlers(bus) as handlers:
        return await _runtime_rate(options, model, index), handlers


async def _runtime_rate(options: DecodeBenchOptions, model: Model, index: int) -> float:
    results: list[TurnResult] = []

    async def take(number: int) -> None:
        prompt = list(_prompt(number))
        seed = 1000 * index + number
        n = options.n_tokens + 1
        if not options.is_streamed:
            results.append(await model.complete(prompt, max_tokens=n, seed=seed))
            return
        async with model.stream(prompt, max_tokens=n, seed=seed) as turn:
            async for _piece in turn:
                pass
        results.append(turn.result)

    async with trio.open_nursery() as nursery:
        for number in range(options.n_seq):
            nursery.start_soon(take, number)
    first_s = min(result.timings.first_token_s for result in results)
    last_s = max(result.timings.total_s for result in results)
    return sum(result.usage.n_generated - 1 for result in results) / (last_s - first_s)


def _prompt(number: int) -> range:
    return range(3 + number % 64, 3 + number % 64 + _N_PROMPT)


class _Bare:
    """A second context on the same file, for the loop that does nothing but decode."""

    def __init__(
        self, context: InferenceContext, options: DecodeBenchOptions, close: Callable[[], None]
    ) -> None:
        self._context = context
        self._options = options
        self.close = close

    @classmethod
    def open(cls, rt: Runtime, options: DecodeBenchOptions) -> _Bare:
        backend: Backend = rt.backend
        model = backend.load(options.model, ModelOptions(), lambda _fraction: True)
        context = model.open_context(
            ContextOptions(n_seq=options.n_seq, ctx_per_seq=options.ctx_per_seq, n_threads=options.n_threads)
        )

        def close() -> None:
            context.close()
            model.close()

        return cls(context, options, close)

    def rate(self) -> float:
        """Run the loop on the calling thread; tokens per second."""
        n, context = self._options.n_seq, self._context
        for seq_id in range(n):
            context.clear_sequence(seq_id)
            context.decode(
                StepBatch(
                    tokens=_prompt(seq_id),
                    positions=range(_N_PROMPT),
                    seq_ids=[seq_id] * _N_PROMPT,
                    outputs=[_N_PROMPT - 1],
                )
            )
        began = perf_counter()
        for step in range(self._options.n_tokens):
            context.decode(
                StepBatch(
                    tokens=[3 + step % 128] * n,
                    positions=[_N_PROMPT + step] * n,
                    seq_ids=range(n),
                    outputs=range(n),
                )
            )
        return n * self._options.n_tokens / (perf_counter() - began)
