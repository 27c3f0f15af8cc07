"""Eviction policies on a trace of prompts, against what a policy that knew the future would save."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from attrs import field, frozen

from actorllama.bench.block_trace import BlockTrace
from actorllama.bench.chart import Chart, Panel, Series
from actorllama.bench.clairvoyant import Intervals, intervals_of, most_hits, saved_bound_s
from actorllama.bench.facts import BenchFacts, BenchStart, plain_options
from actorllama.bench.prefill_cost import PrefillCost
from actorllama.bench.replay import Replay, replay
from actorllama.errors import RequestError
from actorllama.kvcache.policies import POLICIES, policy_named

__all__ = ["FRACTIONS", "BudgetResult", "EvictionBenchOptions", "EvictionReport", "run_eviction_bench"]

FRACTIONS: Final = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Budgets as fractions of the bytes of all distinct blocks, where none are given."""


@frozen(kw_only=True)
class EvictionBenchOptions:
    """What is replayed, and what a block costs."""

    fractions: tuple[float, ...] = FRACTIONS
    """Budgets as fractions of the distinct bytes; each above 0, at most 1."""
    budgets_bytes: tuple[int, ...] = ()
    """Budgets in bytes, beside the fractions."""
    token_bytes: int = 131_072
    """KV bytes of a token; the default is that of 32 layers with 8 heads of 128 in f16."""
    cost: PrefillCost = field(factory=lambda: PrefillCost(token_s=500e-6))
    policies: tuple[str, ...] = tuple(POLICIES)

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be replayed."""
        for fraction in self.fractions:
            if not 0 < fraction <= 1:
                raise RequestError(field="fraction", value=fraction, reason="must be above 0, at most 1")
        for budget_bytes in self.budgets_bytes:
            if budget_bytes < 0:
                raise RequestError(field="bytes", value=budget_bytes, reason="must be at least 0")
        if not 1 <= self.token_bytes < 1 << 40:
            raise RequestError(field="token_bytes", value=self.token_bytes, reason="must be at least 1")
        for name in self.policies:
            if name not in POLICIES:
                known = ", ".join(POLICIES)
                raise RequestError(field="policy", value=name, reason=f"must be one of {known}")


@frozen(kw_only=True)
class BudgetResult:
    """All policies at one budget."""

    budget_bytes: int
    n_blocks_max: int
    policies: dict[str, Replay]
    optimal_hits: int
    """Most blocks that any policy can find: exact, not only a bound."""
    clairvoyant_s: float
    """What the policy with most hits saves; the most seconds are between this and the bound."""
    bound_s: float
    """No policy saves more: an upper bound, which may lie above what is possible."""


@frozen(kw_only=True)
class EvictionReport:
    """All budgets; deterministic: of what it found, nothing is a time that was taken."""

    facts: BenchFacts
    options: EvictionBenchOptions
    trace: BlockTrace
    budgets: tuple[BudgetResult, ...]

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values: ``budgets`` is a list, each with a dictionary ``policies``."""
        options = self.options
        return {
            **self.facts.envelope("eviction", plain_options(options)),
            "trace": {
                "name": self.trace.label,
                "n_requests": len(self.trace.requests),
                "n_tokens": self.trace.n_tokens,
                "block_tokens": self.trace.block_tokens,
                "n_blocks": self.trace.n_blocks,
                "n_references": self.trace.n_references,
                "used_once_rate": _share(self.trace.n_used_once(), self.trace.n_blocks),
                "reusable_rate": _share(
                    self.trace.n_references - self.trace.n_blocks, self.trace.n_references
                ),
            },
            "token_bytes": options.token_bytes,
            "token_s": options.cost.token_s,
            "attention_tokens": options.cost.attention_tokens,
            "budgets": [self._budget_json(budget) for budget in self.budgets],
        }

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        trace = self.trace
        lines = [
            f"{trace.label}: {len(trace.requests)} requests, {trace.n_blocks} blocks of {trace.block_tokens}"
            f" tokens, {_percent(trace.n_used_once(), trace.n_blocks)} of them used once",
        ]
        for budget in self.budgets:
            n_distinct_bytes = trace.n_blocks * self._block_bytes
            lines += [
                "",
                f"{budget.budget_bytes / (1 << 30):.2f} GiB: {budget.n_blocks_max} blocks,"
                f" {_percent(budget.budget_bytes, n_distinct_bytes)} of the distinct bytes",
                f"  {'policy':24} {'blocks':>7} {'tokens':>7} {'saved s':>9} {'of bound':>8}"
                f" {'evicted':>8} {'written GiB':>11}",
            ]
            lines += [self._row(name, seen, budget) for name, seen in budget.policies.items()]
            lines += [
                f"  {'most hits (knows future)':24} {_percent(budget.optimal_hits, trace.n_references):>7}"
                f" {'':7} {budget.clairvoyant_s:9.0f} {_percent(budget.clairvoyant_s, budget.bound_s):>8}",
                f"  {'upper bound of saved s':24} {'':7} {'':7} {budget.bound_s:9.0f}",
            ]
        return [
            *lines,
            "",
            "Not shown: the time that looking up, copying and writing take, blocks of unlike sizes, pins.",
        ]

    def chart(self) -> Chart:
        """Show each policy's share of the bound by budget."""
        budgets = sorted(self.budgets, key=lambda budget: budget.budget_bytes)
        x = tuple(budget.budget_bytes / (1 << 30) for budget in budgets)

        def share(label: str, saved_s: Callable[[BudgetResult], float], *, is_dashed: bool = False) -> Series:
            y = tuple(100 * _share(saved_s(budget), budget.bound_s) for budget in budgets)
            return Series(label=label, x=x, y=y, is_dashed=is_dashed)

        panel = Panel(
            title=f"{len(self.trace.requests)} requests, {self.trace.n_blocks} blocks",
            x_label="budget, GiB",
            y_label="saved prefill, % of a bound that no policy can exceed",
            x_scale="log",
            series=(
                *(share(name, partial(_saved_s, name)) for name in self.options.policies),
                share("most hits (knows the future)", lambda budget: budget.clairvoyant_s, is_dashed=True),
            ),
        )
        return Chart(
            title=f"Eviction policies, {self.trace.label}", panels=(panel,), footnote=self.facts.footnote()
        )

    @property
    def _block_bytes(self) -> int:
        return self.trace.block_tokens * self.options.token_bytes

    def _row(self, name: str, seen: Replay, budget: BudgetResult) -> str:
        written_gib = seen.n_written * self._block_bytes / (1 << 30)
        return (
            f"  {name:24} {_percent(seen.n_hits, self.trace.n_references):>7}"
            f" {_percent(seen.n_hit_tokens, self.trace.n_tokens):>7} {seen.saved_s:9.0f}"
            f" {_percent(seen.saved_s, budget.bound_s):>8} {seen.n_evicted:8} {written_gib:11.0f}"
        )

    def _budget_json(self, budget: BudgetResult) -> dict[str, object]:
        return {
            "budget_bytes": budget.budget_bytes,
            "n_blocks_max": budget.n_blocks_max,
            "fraction": _share(budget.n_blocks_max, self.trace.n_blocks),
            "optimal_block_hit_rate": _share(budget.optimal_hits, self.trace.n_references),
            "clairvoyant_saved_s": round(budget.clairvoyant_s, 3),
            "saved_upper_bound_s": round(budget.bound_s, 3),
            "policies": {
                name: {
                    "block_hit_rate": _share(seen.n_hits, self.trace.n_references),
                    "token_hit_rate": _share(seen.n_hit_tokens, self.trace.n_tokens),
                    "saved_s": round(seen.saved_s, 3),
                    "share_of_optimal_hits": _share(seen.n_hits, budget.optimal_hits),
                    "share_of_saved_bound": _share(seen.saved_s, budget.bound_s),
                    "n_evicted": seen.n_evicted,
                    "n_declined": seen.n_declined,
                    "written_bytes": seen.n_written * self._block_bytes,
                }
                for name, seen in budget.policies.items()
            },
        }


def run_eviction_bench(
    trace: BlockTrace, options: EvictionBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> EvictionReport:
    """Replay a trace under each policy and budget.

    Cost: about 1 s for each policy and budget and 100,000 references, as much again for each bound.
    """
    began = BenchStart.now()
    intervals = intervals_of(trace, options.cost)
    block_bytes = trace.block_tokens * options.token_bytes
    distinct_bytes = trace.n_blocks * block_bytes
    budgets_bytes = [int(fraction * distinct_bytes) for fraction in options.fractions]
    results: list[BudgetResult] = []
    for budget_bytes in (*budgets_bytes, *options.budgets_bytes):
        on_progress(f"budget {len(results) + 1}/{len(budgets_bytes) + len(options.budgets_bytes)}")
        results.append(_at_budget(trace, intervals, options, budget_bytes))
    return EvictionReport(facts=began.facts(), options=options, trace=trace, budgets=tuple(results))


def _at_budget(
    trace: BlockTrace, intervals: Intervals, options: EvictionBenchOptions, budget_bytes: int
) -> BudgetResult:
    block_bytes = trace.block_tokens * options.token_bytes
    n_blocks_max = budget_bytes // block_bytes
    is_hit = most_hits(intervals, n_blocks_max=n_blocks_max)
    clairvoyant_s = float(intervals.worths_s[is_hit].sum())
    return BudgetResult(
        budget_bytes=budget_bytes,
        n_blocks_max=n_blocks_max,
        policies={
            name: replay(
                trace,
                policy_named(name),
                n_blocks_max=n_blocks_max,
                block_bytes=block_bytes,
                cost=options.cost,
            )
            for name in options.policies
        },
        optimal_hits=int(is_hit.sum()),
        clairvoyant_s=clairvoyant_s,
        bound_s=saved_bound_s(intervals, n_blocks_max=n_blocks_max, reached_s=clairvoyant_s),
    )


def _saved_s(policy: str, budget: BudgetResult) -> float:
    return budget.policies[policy].saved_s


def _share(part: float, whole: float) -> float:
    """Give a share of 0 to 1; nothing of nothing is all of it."""
    return round(part / whole, 6) if whole else 1.0


def _percent(part: float, whole: float) -> str:
    return f"{100 * _share(part, whole):.1f} %"
