"""``actorllama verify``: what can be promised on this machine, with this model and this build."""

from __future__ import annotations

import click

from actorllama.cli.examples import examples
from actorllama.cli.interrupts import Interrupts, run_interruptible
from actorllama.cli.loading import loading_from
from actorllama.cli.parameters import JSON, LAYOUT, model_path_from
from actorllama.cli.screen import note, say, say_json
from actorllama.runtime import VerifyReport, verify_model

__all__ = ["command"]


@click.command(
    "verify",
    params=[
        click.Argument(["model"], required=False),
        click.Option(
            ["--flash-attention"], is_flag=True, help="Try with fused attention: faster, seldom exact."
        ),
        *LAYOUT,
        JSON,
    ],
    epilog=examples(
        "actorllama verify",
        "actorllama verify --json --n-seq 4",
        "actorllama verify model.gguf --flash-attention",
    ),
)
@click.pass_context
def command(
    context: click.Context, /, *, model: str | None, flash_attention: bool, as_json: bool, **_shared: object
) -> int:
    """Try whether saved turns go on exactly, and say which level holds.

    Runs a canary that compares logits bit by bit, then turns that are cut, dropped, restored, moved,
    mixed with others, and continued after a restart. The levels: exact (the tokens of the unbroken run,
    whatever ran beside it), faithful (saved bytes come back; last bits may differ), recomputed (states
    cannot be saved). Exit code 0 whatever the level is: it is an answer, not a failure.
    """
    loading = loading_from(context, model_path_from(model))

    async def work(interrupts: Interrupts) -> tuple[VerifyReport | None, int]:
        report: VerifyReport | None = None
        with interrupts.stopping():
            report = await verify_model(
                loading.path,
                {"flash_attention": True} if flash_attention else {},
                config=loading.config,
                on_progress=note,
            )
        return report, interrupts.exit_code

    report, code = run_interruptible(work)
    if report is not None and as_json:
        say_json(report.to_json())
    elif report is not None:
        for line in report.lines():
            say(line)
    return code
