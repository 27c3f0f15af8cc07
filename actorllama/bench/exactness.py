"""What ``exact`` costs against ``faithful`` here: the same tokens without and with flash attention."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import trio
from attrs import evolve, frozen

from actorllama.bench.chart import Bar, Chart, Panel, series_of
from actorllama.bench.facts import BenchFacts, BenchStart, MeasuredModel, plain_options
from actorllama.bench.harness import Spread, in_turns
from actorllama.config import Config
from actorllama.engine import EngineHost
from actorllama.errors import RequestError
from actorllama.native import (
    Backend,
    ContextOptions,
    InferenceContext,
    ModelOptions,
    NativeModel,
    StepBatch,
)
from actorllama.runtime import open_runtime

__all__ = ["CostAtLength", "CostOptions", "CostReport", "Speeds", "run_exactness_cost"]

_N_PROBED: Final = 64
_MAX_LENGTHS: Final = 16
_MAX_LENGTH: Final = 1 << 20


@frozen(kw_only=True)
class CostOptions:
    """What to measure; everything else of the context is as given."""

    model: Path
    label: str
    context: ContextOptions
    """``n_seq`` sequences decode side by side; lengths and flash attention are set here."""
    lengths: tuple[int, ...] = (512, 2048)
    """Prompt tokens of each sequence."""
    n_tokens: int = 32
    """Tokens that are decoded after each prompt."""
    n_rounds: int = 3
    budget_s: float = math.inf
    """Seconds that all may take, about: where a prompt would take longer, a shorter one is measured."""

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not 1 <= len(self.lengths) <= _MAX_LENGTHS:
            raise RequestError(field="at", value=self.lengths, reason=f"1 to {_MAX_LENGTHS} lengths")
        bounds = (
            *(("at", length, _N_PROBED, _MAX_LENGTH) for length in self.lengths),
            ("tokens", self.n_tokens, 4, 1 << 16),
            ("rounds", self.n_rounds, 1, 1000),
        )
        for field, value, low, high in bounds:
            if not low <= value <= high:
                raise RequestError(field=field, value=value, reason=f"must be {low} to {high}")
        if self.context.type_v not in ("f32", "f16", "bf16"):
            reason = "quantised values need flash attention: nothing exact to compare with"
            raise RequestError(field="type_v", value=self.context.type_v, reason=reason)


@frozen(kw_only=True)
class Speeds:
    """Both sides in each round, tokens per second, all sequences together."""

    exact: tuple[float, ...]
    """Without flash attention."""
    faithful: tuple[float, ...]
    """With it."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Exact against faithful, round by round; below 1 exact is slower."""
        return tuple(slow / fast for slow, fast in zip(self.exact, self.faithful, strict=True))

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios: each compares neighbours in time, so drift cancels."""
        return statistics.median(self.ratios)

    def to_json(self) -> dict[str, object]:
        """Give ``exact_tokens_per_s``, ``faithful_tokens_per_s``, ``ratio``, ``ratio_min``, ``ratio_max``."""
        return {
            "exact_tokens_per_s": round(statistics.median(self.exact), 2),
            "faithful_tokens_per_s": round(statistics.median(self.faithful), 2),
            **Spread.of(self.ratios).to_json("ratio", n_digits=4),
        }

    def line(self, name: str) -> str:
        """Give it as a person reads it."""
        exact, faithful = statistics.median(self.exact), statistics.median(self.faithful)
        speeds = f"exact {exact:10.1f}  faithful {faithful:10.1f} tokens/s"
        return (
            f"  {name:8} {speeds}  ratio {self.ratio:.3f}, {min(self.ratios):.3f} to {max(self.ratios):.3f}"
        )


@frozen(kw_only=True)
class CostAtLength:
    """What was measured behind prompts of one length."""

    n_prompt: int
    prefill: Speeds
    decode: Speeds


@frozen(kw_only=True)
class CostReport:
    """All lengths, and how to read them: quote the median ratios, not single speeds."""

    options: CostOptions
    facts: BenchFacts
    lengths: tuple[CostAtLength, ...]

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values.

        Keys: those of every bench, ``n_seq``, ``n_tokens``, ``n_rounds``, and
        ``lengths``: a list with ``n_prompt`` (tokens before the decoding), ``prefill`` and ``decode``. Both
        have ``exact_tokens_per_s`` and ``faithful_tokens_per_s`` (medians, all sequences together), ``ratio``
        (median of exact / faithful; 0.92: exact takes 8 % of the speed), ``ratio_min`` and ``ratio_max``.
        """
        return {
            **self.facts.envelope("exactness", plain_options(self.options)),
            "n_seq": self.options.context.n_seq,
            "n_tokens": self.options.n_tokens,
            "n_rounds": self.options.n_rounds,
            "lengths": [
                {"n_prompt": at.n_prompt, "prefill": at.prefill.to_json(), "decode": at.decode.to_json()}
                for at in self.lengths
            ],
        }

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        shown = [f"{self.options.label}: exact (no flash attention) against faithful (flash attention)"]
        for at in self.lengths:
            shown.append(f"{self.options.context.n_seq} x {at.n_prompt} prompt tokens")
            shown += [at.prefill.line("prefill"), at.decode.line("decode")]
        return [*shown, "A ratio of 0.92 says that exact takes 8 % of the speed. Not shown: other machines."]

    def chart(self) -> Chart:
        """Show both ratios by the length of the prompt."""
        kinds = {
            "prefill": [(float(at.n_prompt), Spread.of(at.prefill.ratios)) for at in self.lengths],
            "decode": [(float(at.n_prompt), Spread.of(at.decode.ratios)) for at in self.lengths],
        }
        panel = Panel(
            title="exact / faithful; below 1 exact is slower",
            x_label="prompt, tokens",
            y_label="speed without flash attention / with it",
            series=tuple(series_of(name, points) for name, points in kinds.items()),
            bars=(Bar(value=1.0, label="no difference"),),
        )
        return Chart(
            title=f"What exact costs, {self.options.label}, {self.options.context.n_seq} sequences",
            panels=(panel,),
            footnote=self.facts.footnote(),
        )


async def run_exactness_cost(
    options: CostOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> CostReport:
    """Decode the same tokens exactly and faithfully, in turns, in one process and on one host thread.

    Both sides are bare ``llama_decode`` loops: no sampling, no text. The order of the two changes with
    every round; a round before the first warms both up.

    Raises:
        ModelLoadError: The model cannot be used, or not with one of the two.
    """
    began = BenchStart.now()
    async with open_runtime(Config()) as rt:
        on_progress(f"loading {options.label}")
        backend, host = rt.backend, await rt.host()
        model = await trio.to_thread.run_sync(_load, backend, options.model)
        try:
            lengths = await _affordable(options, model, host)
            measured = [await _at(options, model, host, length, on_progress) for length in lengths]
        finally:
            await trio.to_thread.run_sync(model.close)
        facts = began.facts(build=rt.build_info(), model=MeasuredModel.of(options.model, options.label))
        return CostReport(options=options, facts=facts, lengths=tuple(measured))


async def _affordable(options: CostOptions, model: NativeModel, host: EngineHost) -> Sequence[int]:
    """Shorten what would take too long, by the time that a few tokens take."""
    if math.isinf(options.budget_s):
        return options.lengths

    def probe() -> tuple[float, float]:
        side = _Side(model, options, _N_PROBED, flash_attention=False)
        try:
            host.run(side.rates).result()  # the first run also pays for what llama.cpp allocates late
            return host.run(side.rates).result()
        finally:
            side.close()

    prefill_rate, decode_rate = await trio.to_thread.run_sync(probe)
    n_runs = 2 * (options.n_rounds + 1) * len(options.lengths)
    run_s = options.budget_s / n_runs - options.n_tokens * options.context.n_seq / decode_rate
    n_affordable = int(run_s * prefill_rate / options.context.n_seq)
    return sorted({max(_N_PROBED, min(length, n_affordable)) for length in options.lengths})


async def _at(
    options: CostOptions,
    model: NativeModel,
    host: EngineHost,
    length: int,
    on_progress: Callable[[str], None],
) -> CostAtLength:
    def open_sides() -> tuple[_Side, _Side]:
        exact = _Side(model, options, length, flash_attention=False)
        return exact, _Side(model, options, length, flash_attention=True)

    async def rates(side: _Side, _number: int) -> tuple[float, float]:
        return await trio.to_thread.run_sync(lambda: host.run(side.rates).result())

    sides = await trio.to_thread.run_sync(open_sides)
    try:
        exact, faithful = await in_turns(*(partial(rates, side) for side in sides), n_rounds=options.n_rounds)
    finally:
        with trio.CancelScope(shield=True):
            for side in sides:
                await trio.to_thread.run_sync(side.close)
    at = CostAtLength(
        n_prompt=length,
        prefill=Speeds(exact=tuple(r[0] for r in exact), faithful=tuple(r[0] for r in faithful)),
        decode=Speeds(exact=tuple(r[1] for r in exact), faithful=tuple(r[1] for r in faithful)),
    )
    on_progress(f"{length} tokens: prefill {at.prefill.ratio:.3f}, decode {at.decode.ratio:.3f}")
    return at


def _load(backend: Backend, path: Path) -> NativeModel:
    return backend.load(path, ModelOptions(), lambda _fraction: True)


class _Side:
    """A context that computes one way, and the loop that times it."""

    def __init__(
        self, model: NativeModel, options: CostOptions, length: int, *, flash_attention: bool
    ) -> None:
        self._n_tokens = options.n_tokens
        self._length = length
        self._context: InferenceContext = model.open_context(
            evolve(
                options.context,
                ctx_per_seq=length + options.n_tokens + 8,
                flash_attention=flash_attention,
            ).with_batch_for_sequences()
        )

    def close(self) -> None:
        self._context.close()

    def rates(self) -> tuple[float, float]:
        """Run on the host's thread; tokens per second of prefill and of decode."""
        context, n_seq = self._context, self._context.facts.n_seq
        for seq_id in range(n_seq):
            context.clear_sequence(seq_id)
        began = perf_counter()
        for seq_id in range(n_seq):
            self._prefill(seq_id)
        filled = perf_counter()
        for step in range(self._n_tokens):
            context.decode(
                StepBatch(
                    tokens=[_token(step)] * n_seq,
                    positions=[self._length + step] * n_seq,
                    seq_ids=range(n_seq),
                    outputs=range(n_seq),
                )
            )
        ended = perf_counter()
        return n_seq * self._length / (filled - began), n_seq * self._n_tokens / (ended - filled)

    def _prefill(self, seq_id: int) -> None:
        n_batch = self._context.facts.n_batch
        for first in range(0, self._length, n_batch):
            positions = range(first, min(first + n_batch, self._length))
            self._context.decode(
                StepBatch(
                    tokens=[_token(position + seq_id) for position in positions],
                    positions=positions,
                    seq_ids=[seq_id] * len(positions),
                    outputs=[len(positions) - 1],
                )
            )


def _token(index: int) -> int:
    return 3 + index * 5 % 61
