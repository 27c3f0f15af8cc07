"""What ``exact`` costs, told beside another measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from attrs import frozen

from actorllama.cli.bench_run import LinesReport
from actorllama.cli.screen import note
from actorllama.errors import ActorLlamaError
from actorllama.native import ContextOptions

__all__ = ["with_cost"]

_LENGTH: Final = 512
_N_TOKENS: Final = 16
_N_ROUNDS: Final = 3
_BUDGET_S: Final = 4.0


@frozen(kw_only=True)
class _WithCost:
    report: LinesReport
    cost: LinesReport

    def to_json(self) -> dict[str, object]:
        return {**self.report.to_json(), "exact_cost": self.cost.to_json()}

    def lines(self) -> list[str]:
        return [*self.report.lines(), *self.cost.lines()]


async def with_cost(
    report: LinesReport, model: Path, label: str, *, n_seq: int, n_threads: int
) -> LinesReport:
    """Measure the cost for a few seconds and add it; where it cannot be measured, say so and add nothing."""
    from actorllama.bench import CostOptions, run_exactness_cost

    note("what exact costs")
    try:
        options = CostOptions(
            model=model,
            label=label,
            context=ContextOptions(n_seq=n_seq, n_threads=n_threads),
            lengths=(_LENGTH,),
            n_tokens=_N_TOKENS,
            n_rounds=_N_ROUNDS,
            budget_s=_BUDGET_S,
        )
        return _WithCost(report=report, cost=await run_exactness_cost(options))
    except ActorLlamaError as exc:
        note(f"not measured: {exc}")
        return report
