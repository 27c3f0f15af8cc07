"""What the warm bench found, and how to read it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from attrs import frozen

from actorllama.bench.chart import Bar, Chart, Panel, Series, series_of
from actorllama.bench.facts import BenchFacts, plain_options
from actorllama.bench.harness import Spread
from actorllama.bench.warm_options import WarmBenchOptions, WarmSource

__all__ = ["NeighbourGaps", "WarmCase", "WarmReport", "WarmShot"]

_RAM_BAR = 1.3


@frozen(kw_only=True)
class WarmShot:
    """One turn, and the bare thing next to it."""

    first_token_s: float
    bare_s: float
    n_cached: int
    parts_s: tuple[float, float, float]
    """Of the first token: until there was a sequence, restoring, computing."""

    @property
    def ratio(self) -> float:
        """The turn's time over the bare thing's."""
        return self.first_token_s / self.bare_s


@frozen(kw_only=True)
class WarmCase:
    """All turns whose prefixes had the same length and came from the same place."""

    n_tokens: int
    source: WarmSource
    neighbours: int
    shots: tuple[WarmShot, ...] = ()
    error: str | None = None
    """Why there is no figure: a turn came from elsewhere."""

    @property
    def first_token_s(self) -> float:
        """Median time to the first token."""
        return statistics.median(shot.first_token_s for shot in self.shots)

    @property
    def ratio(self) -> float:
        """Median of the shots' ratios: each compares neighbours in time, so drift cancels."""
        return statistics.median(shot.ratio for shot in self.shots)

    def to_json(self) -> dict[str, object]:
        """Give the case as plain values."""
        case = {"n_tokens": self.n_tokens, "source": self.source, "neighbours": self.neighbours}
        if self.error is not None:
            return {**case, "error": self.error}
        shots = self.shots
        queue_s, restore_s, prefill_s = (
            statistics.median(part) for part in zip(*(shot.parts_s for shot in shots), strict=True)
        )
        return {
            **case,
            "n": len(shots),
            **Spread.of([shot.first_token_s for shot in shots]).to_json("first_token_s"),
            "bare_s": round(statistics.median(shot.bare_s for shot in shots), 6),
            **Spread.of([shot.ratio for shot in shots]).to_json("ratio", n_digits=4),
            "n_cached": min(shot.n_cached for shot in shots),
            "queue_s": round(queue_s, 6),
            "restore_s": round(restore_s, 6),
            "prefill_s": round(prefill_s, 6),
        }


@frozen(kw_only=True)
class NeighbourGaps:
    """Times between two tokens of the turns that decode beside one that is restored, or saved."""

    n_tokens: int
    """Of the prefix that is restored or saved."""
    alone_s: tuple[float, ...]
    """With no other turn."""
    live_s: tuple[float, ...]
    """Beside a turn whose prefix is in its sequence: nothing is restored."""
    restored_s: tuple[float, ...]
    """Beside the same turn whose prefix comes from RAM."""
    saved_s: tuple[float, ...]
    """From the end of a turn until all of its prefix is on disk."""

    def to_json(self) -> dict[str, object]:
        """Give the 99th percentiles, and those ratios that say what restoring and saving cost."""
        parts = {
            "alone": self.alone_s,
            "live": self.live_s,
            "restored": self.restored_s,
            "saved": self.saved_s,
        }
        p99 = {name: _p99(gaps) for name, gaps in parts.items()}
        answer: dict[str, object] = {"n_tokens": self.n_tokens}
        for name, gaps in parts.items():
            answer[f"{name}_s"] = round(p99[name], 6)
            answer[f"{name}_n"] = len(gaps)
        answer["restored_ratio"] = _ratio(p99["restored"], p99["live"])
        answer["saved_ratio"] = _ratio(p99["saved"], p99["alone"])
        return answer


@frozen(kw_only=True)
class WarmReport:
    """All cases; quote ratios, not times."""

    options: WarmBenchOptions
    facts: BenchFacts
    cases: tuple[WarmCase, ...]
    gaps: NeighbourGaps | None

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values."""
        return {
            **self.facts.envelope("warm", plain_options(self.options)),
            "cases": [case.to_json() for case in self.cases],
            "neighbours_p99": None if self.gaps is None else self.gaps.to_json(),
            "disk_to_ram": self._disk_to_ram(),
        }

    def headline(self) -> str:
        """Say what was measured."""
        n_rounds = self.options.n_rounds
        return f"{self.options.label}: time to the first token, {n_rounds} turns each, beside the bare thing"

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Give the heads and the rows of what a person reads."""
        heads = ("PREFIX", "SOURCE", "NEIGHBOURS", "FIRST TOKEN", "BARE", "RATIO", "FROM", "TO")
        return heads, [self._row(case) for case in self.cases]

    def notes(self) -> list[str]:
        """Say how to read it."""
        lines = [
            "Bare: prefill of the same tokens (cold), the suffix alone (live), set_state and the suffix",
            "(ram, disk, restart); always without neighbours.",
        ]
        lines += [
            f"disk takes {ratio} times as long as RAM at {n} tokens"
            for n, ratio in self._disk_to_ram().items()
        ]
        if self.gaps is not None:
            facts = self.gaps.to_json()
            lines.append(
                f"Neighbours' p99 between two tokens: {facts['restored_ratio']} x beside a restore, "
                f"{facts['saved_ratio']} x beside a save of {self.gaps.n_tokens} tokens."
            )
        return [*lines, "Not shown: files that are not in the page cache, other machines."]

    def chart(self) -> Chart:
        """Show times and ratios by the length of the prefix, a line for each place; without neighbours."""
        times: list[Series] = []
        ratios: list[Series] = []
        for source in dict.fromkeys(case.source for case in self.cases):
            quiet = [
                case for case in self.cases if case.source == source and not case.neighbours and case.shots
            ]
            if not quiet:
                continue
            times.append(
                series_of(
                    source,
                    [
                        (float(case.n_tokens), Spread.of([1000 * shot.first_token_s for shot in case.shots]))
                        for case in quiet
                    ],
                )
            )
            ratios.append(
                series_of(
                    source,
                    [
                        (float(case.n_tokens), Spread.of([shot.ratio for shot in case.shots]))
                        for case in quiet
                    ],
                )
            )
        return Chart(
            title=f"First token behind a saved prefix, {self.options.label}",
            panels=(
                Panel(
                    title="time, by where the prefix is",
                    x_label="prefix, tokens",
                    y_label="time to the first token, ms",
                    series=tuple(times),
                    x_scale="log",
                    y_scale="log",
                ),
                Panel(
                    title="beside the bare thing",
                    x_label="prefix, tokens",
                    y_label="turn / bare",
                    series=tuple(ratios),
                    x_scale="log",
                    bars=(Bar(value=_RAM_BAR, label=f"bar from RAM: {_RAM_BAR}"),),
                ),
            ),
            footnote=self.facts.footnote(),
        )

    def _row(self, case: WarmCase) -> Sequence[str]:
        head = (str(case.n_tokens), case.source, str(case.neighbours))
        if case.error is not None:
            return (*head, f"failed: {case.error}", "", "", "", "")
        facts = case.to_json()
        times = (f"{case.first_token_s * 1000:.2f} ms", f"{float(str(facts['bare_s'])) * 1000:.2f} ms")
        return (*head, *times, *(f"{facts[name]:.2f}" for name in ("ratio", "ratio_min", "ratio_max")))

    def _disk_to_ram(self) -> dict[str, float]:
        quiet = {(case.n_tokens, case.source): case for case in self.cases if case.neighbours == 0}
        return {
            str(n_tokens): round(quiet[n_tokens, "disk"].first_token_s / case.first_token_s, 3)
            for (n_tokens, source), case in quiet.items()
            if source == "ram" and case.shots and quiet.get((n_tokens, "disk"), case).source == "disk"
            if quiet[n_tokens, "disk"].shots
        }


def _p99(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def _ratio(value: float, base: float) -> float | None:
    return round(value / base, 3) if base else None
