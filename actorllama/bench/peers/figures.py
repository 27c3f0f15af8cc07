"""From turns to figures: percentiles, rates, ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import attrs
from attrs import frozen

from actorllama.bench.harness import Spread
from actorllama.bench.peers.contestant import Taken
from actorllama.bench.peers.loads import Part
from actorllama.bench.peers.side import Side

__all__ = ["SideFigures", "percentiles", "side_figures", "side_json", "speed_ratio", "token_gaps_s"]


@frozen(kw_only=True)
class SideFigures:
    """What one contestant did in one load."""

    first_token_s: tuple[float, ...]
    """From the question to the first text, sorted."""
    gap_s: tuple[float, ...]
    """Between two tokens, sorted: 0 for those that came together."""
    per_token_s: tuple[float, ...]
    """Of each turn, the mean time between two tokens."""
    tokens_per_s: tuple[float, ...]
    """Of each round, all turns of it together."""
    n_turns: int
    n_tokens: int
    n_prompt: int
    n_computed: int | None
    """Prompt tokens that were computed; ``None`` where the contestant does not tell."""


def token_gaps_s(taken: Taken) -> list[float]:
    """List the times between two tokens; those that came in one piece came at the same time."""
    times = [time_s for time_s, n_tokens in taken.arrivals for _ in range(n_tokens)]
    return [later - sooner for sooner, later in pairwise(times)]


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Give the 50th, 95th and 99th percentile, by nearest rank; ``None`` of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: round(ordered[math.ceil(share * len(ordered)) - 1], 6) for name, share in ranks.items()}


def side_figures(side: Side) -> SideFigures | None:
    """Look at all rounds that count; ``None`` if there was none."""
    takens = [taken for turns, _ in side.rounds for taken in turns]
    if not takens:
        return None
    computed = [taken.n_computed for taken in takens if taken.n_computed is not None]
    gaps = [(taken, token_gaps_s(taken)) for taken in takens]
    return SideFigures(
        first_token_s=tuple(sorted(taken.first_token_s for taken in takens)),
        gap_s=tuple(sorted(gap for _, found in gaps for gap in found)),
        per_token_s=tuple(statistics.fmean(found) for _, found in gaps if found),
        tokens_per_s=tuple(sum(one.n_tokens for one in turns) / wall_s for turns, wall_s in side.rounds),
        n_turns=len(takens),
        n_tokens=sum(taken.n_tokens for taken in takens),
        n_prompt=sum(taken.n_prompt for taken in takens),
        n_computed=sum(computed) if len(computed) == len(takens) else None,
    )


def speed_ratio(part: Part, one: str, other: str) -> Spread | None:
    """Compare tokens per second, round by round; ``None`` unless both took part to the end."""
    found = {side.name: side_figures(side) for side in part.sides if side.is_in}
    ours, theirs = found.get(one), found.get(other)
    if ours is None or theirs is None:
        return None
    return Spread.of_ratios(ours.tokens_per_s, theirs.tokens_per_s)


def side_json(side: Side) -> dict[str, object]:
    """Give all about a side as plain values."""
    figures = side_figures(side)
    answer: dict[str, object] = {
        "name": side.name,
        "error": side.error,
        "start_s": _rounded(side.start_s),
        "stop_s": _rounded(side.stop_s),
        "disk_bytes": side.disk_bytes,
        "memory": None if side.memory is None else side.memory.to_json(),
        "library": None if side.library is None else attrs.asdict(side.library),
        "continuation": None
        if not side.n_checked
        else {"n_checked": side.n_checked, "n_equal": side.n_equal},
        "cold_first_token_s": percentiles(side.cold_first_token_s),
    }
    if figures is not None:
        answer |= {
            "n_turns": figures.n_turns,
            "n_tokens": figures.n_tokens,
            "n_prompt": figures.n_prompt,
            "n_computed": figures.n_computed,
            "first_token_s": percentiles(figures.first_token_s),
            "gap_s": percentiles(figures.gap_s),
            "per_token_s": percentiles(figures.per_token_s),
            **Spread.of(figures.tokens_per_s).to_json("tokens_per_s", n_digits=2),
            "cpu_s_per_1000_tokens": round(1000 * side.cpu_s / figures.n_tokens, 4) if side.cpu_s else None,
        }
    return answer


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
