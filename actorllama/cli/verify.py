"""``actorllama verify``: what can be promised on this machine, with this model and this build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from attrs import evolve, frozen

from actorllama.cli.examples import examples
from actorllama.cli.interrupts import Interrupts, run_interruptible
from actorllama.cli.loading import Loading, loading_from
from actorllama.cli.parameters import JSON, LAYOUT, model_path_from
from actorllama.cli.screen import note, say, say_json
from actorllama.errors import ActorLlamaError
from actorllama.runtime import VerifyReport, verify_model

if TYPE_CHECKING:
    from actorllama.bench import CostReport

__all__ = ["command"]

_LENGTH: Final = 512
_LEAST_LENGTH: Final = 64
_N_TOKENS: Final = 16
_N_ROUNDS: Final = 3
_BUDGET_S: Final = 4.0


@click.command(
    "verify",
    params=[
        click.Argument(["model"], required=False),
        click.Option(
            ["--flash-attention"], is_flag=True, help="Try with fused attention: faster, seldom exact."
        ),
        click.Option(
            ["--cost/--no-cost", "is_cost"],
            default=True,
            show_default=True,
            help="Measure what exact costs against faithful: a few seconds more.",
        ),
        *LAYOUT,
        JSON,
    ],
    epilog=examples(
        "actorllama verify",
        "actorllama verify --json --n-seq 4",
        "actorllama verify model.gguf --flash-attention --no-cost",
    ),
)
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    model: str | None,
    flash_attention: bool,
    is_cost: bool,
    as_json: bool,
    **_shared: object,
) -> int:
    """Try whether saved turns go on exactly, and say which level holds.

    Runs a canary that compares logits bit by bit, then turns that are cut, dropped, restored, moved,
    mixed with others, and continued after a restart. The levels: exact (the tokens of the unbroken run,
    whatever ran beside it), faithful (saved bytes come back; last bits may differ), recomputed (states
    cannot be saved). Exit code 0 whatever the level is: it is an answer, not a failure. At the end a short
    measurement says what exact costs here against faithful; `actorllama bench exactness` takes its time.
    """
    loading = loading_from(context, model_path_from(model))

    async def work(interrupts: Interrupts) -> tuple[_Found | None, int]:
        found: _Found | None = None
        with interrupts.stopping():
            report = await verify_model(
                loading.path,
                {"flash_attention": True} if flash_attention else {},
                config=loading.config,
                on_progress=note,
            )
            found = _Found(report=report, cost=await _cost(loading) if is_cost else None)
        return found, interrupts.exit_code

    found, code = run_interruptible(work)
    if found is not None and as_json:
        say_json(found.to_json(is_cost=is_cost))
    elif found is not None:
        for line in found.lines():
            say(line)
    return code


@frozen(kw_only=True)
class _Found:
    report: VerifyReport
    cost: CostReport | None

    def to_json(self, *, is_cost: bool) -> dict[str, object]:
        """Add ``cost`` to the report: ``None`` where there is nothing exact to measure."""
        cost = None if self.cost is None else self.cost.to_json()
        return {**self.report.to_json(), **({"cost": cost} if is_cost else {})}

    def lines(self) -> list[str]:
        return [*self.report.lines(), *(() if self.cost is None else self.cost.lines())]


async def _cost(loading: Loading) -> CostReport | None:
    """Measure on the same model; ``None`` where only one of the two levels can be had."""
    from actorllama.bench import CostOptions, run_exactness_cost

    note("what exact costs")
    context = evolve(loading.config.context, n_seq=1)
    try:
        options = CostOptions(
            model=loading.path,
            label=loading.path.name,
            context=context,
            lengths=(max(_LEAST_LENGTH, min(_LENGTH, context.ctx_per_seq)),),
            n_tokens=_N_TOKENS,
            n_rounds=_N_ROUNDS,
            budget_s=_BUDGET_S,
        )
        return await run_exactness_cost(options)
    except ActorLlamaError as exc:
        note(f"not measured: {exc}")
        return None
