"""What the decode bench measures, what it found, and how to read it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from actorllama.bench.chart import Bar, Chart, Panel, Series, series_of
from actorllama.bench.facts import BenchFacts, plain_options
from actorllama.bench.harness import Spread
from actorllama.bench.telemetry_report import TelemetryReport
from actorllama.errors import RequestError

__all__ = ["N_PROMPT", "DecodeBenchOptions", "DecodeReport", "DecodeRound"]

N_PROMPT: Final = 16
"""Tokens of each prompt."""

_BARS: Final = {"15m": 0.92, "0.5b": 0.98}


@frozen(kw_only=True)
class DecodeBenchOptions:
    """What to measure."""

    model: Path
    label: str
    n_seq: int = 8
    n_tokens: int = 256
    """Tokens of each turn, after its first."""
    n_rounds: int = 9
    n_threads: int = 0
    keeps_threads_bare: bool = False
    """Let the bare loop keep llama.cpp's threads from step to step, as the runtime does. By itself
    ``llama_decode`` starts them anew each time, and that is what a bare loop gets."""
    is_streamed: bool = True
    """Read every turn token by token; otherwise wait for whole results."""
    n_other_models: int = 0
    """Idle models loaded beside the measured one."""
    has_telemetry: bool = False
    """Measure also what all handlers together cost."""
    n_turns: int = 10_000
    """Turns at least for that, with handlers and without."""

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        bounds = (
            ("n", self.n_seq, 1, 256),
            ("tokens", self.n_tokens, 4, 1 << 16),
            ("rounds", self.n_rounds, 1, 1000),
            ("turns", self.n_turns, 1, 1 << 24),
        )
        for field, value, low, high in bounds:
            if not low <= value <= high:
                raise RequestError(field=field, value=value, reason=f"must be {low} to {high}")

    @property
    def ctx_per_seq(self) -> int:
        """Room for the prompt and the reply."""
        return N_PROMPT + self.n_tokens + 8


@frozen(kw_only=True)
class DecodeRound:
    """The speeds of both sides while the same turns run."""

    bare_tokens_per_s: float
    runtime_tokens_per_s: float
    neighbours: tuple[float, ...] = ()
    """Runtime against bare, for each block of steps with all turns and the bare block behind it. Short turns
    of a small model may never be all there for so long: then there is none, the time counts from the first
    token of any to the last of all, and the bare loop is measured before and after."""

    @property
    def is_steady(self) -> bool:
        """Whether only steps with all turns count."""
        return bool(self.neighbours)

    @property
    def ratio(self) -> float:
        """Runtime against bare: the median of the neighbours, if there are any."""
        if self.neighbours:
            return statistics.median(self.neighbours)
        return self.runtime_tokens_per_s / self.bare_tokens_per_s


@frozen(kw_only=True)
class DecodeReport:
    """All rounds, and how to read them: quote the median ratio, not single speeds."""

    options: DecodeBenchOptions
    facts: BenchFacts
    rounds: tuple[DecodeRound, ...]
    telemetry: TelemetryReport | None = None
    """What handlers cost; ``None`` if that was not measured."""
    cpu_s_per_1000_tokens: float | None = None
    """Of the runtime, prompts of 16 tokens included."""
    bare_cpu_s_per_1000_tokens: float | None = None

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
        """Median of the ratios: each compares neighbours in time, so drift cancels."""
        return statistics.median(self.ratios)

    @property
    def ratios(self) -> Sequence[float]:
        """Of all blocks in which all turns decoded together; of the rounds, if there was none."""
        blocks = [ratio for item in self.rounds for ratio in item.neighbours]
        return blocks or self.round_ratios

    @property
    def round_ratios(self) -> Sequence[float]:
        """Of the rounds in which all turns decoded together; of all rounds, if there was none."""
        steady = [item.ratio for item in self.rounds if item.is_steady]
        return steady or [item.ratio for item in self.rounds]

    @property
    def n_unsteady(self) -> int:
        """Rounds whose turns were never all there at once."""
        return sum(not item.is_steady for item in self.rounds)

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values."""
        bare_cpu_s = self.bare_cpu_s_per_1000_tokens
        return {
            **self.facts.envelope(
                "decode",
                plain_options(self.options),
                cpu_s_per_1000_tokens=self.cpu_s_per_1000_tokens,
            ),
            "bare_cpu_s_per_1000_tokens": None if bare_cpu_s is None else round(bare_cpu_s, 6),
            "n_seq": self.options.n_seq,
            "n_tokens": self.options.n_tokens,
            "is_streamed": self.options.is_streamed,
            "n_other_models": self.options.n_other_models,
            "bare_tokens_per_s": round(self.bare_tokens_per_s, 2),
            "runtime_tokens_per_s": round(self.runtime_tokens_per_s, 2),
            **Spread.of(self.ratios).to_json("ratio", n_digits=4),
            "n_unsteady_rounds": self.n_unsteady,
            "rounds": [
                {"bare": round(r.bare_tokens_per_s, 2), "runtime": round(r.runtime_tokens_per_s, 2)}
                for r in self.rounds
            ],
            **({} if self.telemetry is None else self.telemetry.to_json()),
        }

    def _unsteady_lines(self) -> tuple[str, ...]:
        n = self.n_unsteady
        if not n:
            return ()
        if n < len(self.rounds):
            return (f"  {n} more left out: a turn ended so early that all were never there at once",)
        return ("  in all of them turns began or ended all the while, and that counts: take more --tokens",)

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        ratios = sorted(self.round_ratios)
        how = "streamed token by token" if self.options.is_streamed else "whole results"
        threads = ", its threads kept" if self.options.keeps_threads_bare else ""
        return [
            f"{self.options.label}: {self.options.n_seq} sequences x {self.options.n_tokens} tokens, {how}",
            f"  bare llama_decode loop  {self.bare_tokens_per_s:10.1f} tokens/s{threads}",
            f"  actorllama runtime      {self.runtime_tokens_per_s:10.1f} tokens/s, with sampling and text",
            f"  ratio                   {self.ratio:10.3f}"
            f", from {ratios[0]:.3f} to {ratios[-1]:.3f} in {len(ratios)} rounds",
            *self._unsteady_lines(),
            *(() if self.telemetry is None else self.telemetry.lines()),
            "Not shown: prompts, steps in which turns begin or end, quality, long contexts, other machines.",
        ]

    def chart(self) -> Chart:
        """Show every round's ratio, and the speeds of both sides."""
        numbers = tuple(float(number) for number in range(1, len(self.rounds) + 1))
        bar = _BARS.get(self.options.label)
        bars = () if bar is None else (Bar(value=bar, label=f"bar: {bar}"),)
        rounds = {
            "bare llama_decode": [item.bare_tokens_per_s for item in self.rounds],
            "runtime": [item.runtime_tokens_per_s for item in self.rounds],
        }
        ratios = Spread.of([item.ratio for item in self.rounds])
        of_rounds = Series(label="runtime / bare", x=numbers, y=ratios.values)
        return Chart(
            title=f"Decoding, {self.options.label}, {self.options.n_seq} turns",
            panels=(
                Panel(
                    title=f"median {self.ratio:.3f} of the bare loop",
                    x_label="round",
                    y_label="runtime / bare loop",
                    series=(of_rounds,),
                    bars=bars,
                ),
                Panel(
                    title="speed, middle half of the rounds",
                    x_label="",
                    y_label="tokens/s, all turns together",
                    names=tuple(rounds),
                    series=(
                        series_of(
                            "tokens/s",
                            [(float(x), Spread.of(rates)) for x, rates in enumerate(rounds.values())],
                        ),
                    ),
                ),
            ),
            footnote=self.facts.footnote(),
        )
