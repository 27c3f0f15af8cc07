"""What the bench of peers found, and what it does not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from actorllama.bench.chart import Chart
from actorllama.bench.facts import BenchFacts, plain_options
from actorllama.bench.peers.bars import Bar, bars_of
from actorllama.bench.peers.drawing import peers_chart
from actorllama.bench.peers.figures import percentiles, side_figures, side_json
from actorllama.bench.peers.loads import Part
from actorllama.bench.peers.options import PeersOptions
from actorllama.bench.peers.roster import Roster
from actorllama.bench.peers.side import Side

__all__ = ["NOT_SHOWN", "PeersReport"]

NOT_SHOWN: Final = (
    "Not shown: GPUs, quality, other machines, networks. Random weights, so no reply means anything.",
    "llama-cpp-python takes one turn at a time, in one context: first tokens wait for the turns of others.",
    "Times between tokens are those of text: what comes together counts as 0 apart.",
    "A continuation that differs from the unbroken run is a fault only where a contestant promises equality.",
)

_MEGABYTE: Final = 1 << 20


@frozen(kw_only=True)
class PeersReport:
    """All loads, all contestants."""

    options: PeersOptions
    facts: BenchFacts
    roster: Roster
    parts: tuple[Part, ...]

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The comparisons that are held against a bar."""
        return bars_of(self.parts)

    @property
    def has_failures(self) -> bool:
        """Whether a contestant that was found did not come through a load."""
        return any(side.error is not None for part in self.parts for side in part.sides)

    @property
    def digests(self) -> frozenset[str]:
        """Which builds of llama.cpp were used: one, if all computed with the same."""
        return frozenset(
            side.library.digest for part in self.parts for side in part.sides if side.library is not None
        )

    def chart(self) -> Chart:
        """Show speeds and first tokens by turns side by side, and first tokens in the other loads."""
        return peers_chart(self.options.label, self.parts, self.facts.footnote())

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values."""
        return {
            **self.facts.envelope("peers", plain_options(self.options)),
            "contestants": [{"name": entry.name, "how": entry.about} for entry in self.roster.entries],
            "not_found": [{"name": name, "reason": reason} for name, reason in self.roster.missing],
            "is_one_library": len(self.digests) == 1,
            "loads": [
                {"load": part.load, "case": part.case, "sides": [side_json(side) for side in part.sides]}
                for part in self.parts
            ],
            "bars": [bar.to_json() for bar in self.bars],
            "not_shown": list(NOT_SHOWN),
        }

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        options = self.options
        library = "one libllama for all" if len(self.digests) == 1 else "libllamas that differ"
        lines = [
            f"{options.label}, {options.n_threads} threads, f16, no flash attention, greedy, {library}",
            *(f"  {entry.name:<24} {entry.about}" for entry in self.roster.entries),
            *(f"  {name:<24} {reason}" for name, reason in self.roster.missing),
        ]
        for part in self.parts:
            lines += _part_lines(part)
        if self.bars:
            lines += ["", "bars", *(bar.line() for bar in self.bars)]
        return [*lines, "", *NOT_SHOWN, self.facts.footnote()]


def _part_lines(part: Part) -> list[str]:
    heads = (
        *("first p50", "p95 ms", "token p50", "p99 ms", "tokens/s", "CPU s/1k", "computed"),
        *("disk MB", "own MB", "cache MB", "equal"),
    )
    lines = ["", f"{part.load}: {part.case}", " " * 26 + "".join(f"{head:>11}" for head in heads)]
    for side in part.sides:
        if side.error is not None:
            lines.append(f"  {side.name:<24} failed: {side.error}")
            continue
        lines.append(f"  {side.name:<24}" + "".join(f"{cell:>11}" for cell in _cells(side)))
        if side.cold_first_token_s:
            cold = percentiles(side.cold_first_token_s)
            assert cold is not None, "there is one"
            lines.append(
                f"  {'':<24}  cold {1000 * cold['p50']:.0f} ms; started in {side.start_s or 0:.2f} s, "
                f"stopped in {side.stop_s or 0:.2f} s"
            )
    return lines


def _cells(side: Side) -> Sequence[str]:
    figures, memory = side_figures(side), side.memory
    if figures is None:
        return ()
    first, gap = percentiles(figures.first_token_s), percentiles(figures.gap_s)
    speed = sorted(figures.tokens_per_s)[len(figures.tokens_per_s) // 2]
    return (
        "-" if first is None else f"{1000 * first['p50']:.1f}",
        "-" if first is None else f"{1000 * first['p95']:.1f}",
        f"{1000 * sorted(figures.per_token_s)[len(figures.per_token_s) // 2]:.2f}"
        if figures.per_token_s
        else "-",
        "-" if gap is None else f"{1000 * gap['p99']:.1f}",
        f"{speed:.0f}",
        f"{1000 * side.cpu_s / figures.n_tokens:.2f}" if side.cpu_s else "-",
        "-" if figures.n_computed is None else str(figures.n_computed),
        "-" if side.disk_bytes is None else f"{side.disk_bytes / _MEGABYTE:.1f}",
        "-" if memory is None else f"{memory.own_bytes / _MEGABYTE:.0f}",
        "-" if memory is None or memory.cache_bytes is None else f"{memory.cache_bytes / _MEGABYTE:.0f}",
        f"{side.n_equal}/{side.n_checked}" if side.n_checked else "-",
    )
