"""``actorllama bench exactness``: what exact costs against faithful."""

from __future__ import annotations

from pathlib import Path

import click
from attrs import evolve

from actorllama.cli.bench_command import bench_command
from actorllama.cli.bench_run import draw_report, measure, tell_lines
from actorllama.cli.bench_target import TARGET, target_from
from actorllama.cli.screen import note
from actorllama.errors import RequestError
from actorllama.native import ContextOptions

__all__ = ["command"]


@bench_command(
    "exactness",
    asks="what exact costs against faithful",
    takes="1 min",
    params=[
        *TARGET,
        click.Option(["-n", "n_seq"], type=int, default=1, show_default=True, help="Sequences side by side."),
        click.Option(
            ["--at", "lengths"],
            type=int,
            multiple=True,
            default=(512, 2048),
            show_default=True,
            metavar="TOKENS",
            help="Prompt tokens before the decoding; may be repeated.",
        ),
        click.Option(
            ["--tokens", "n_tokens"], type=int, default=32, show_default=True, help="Tokens decoded there."
        ),
        click.Option(
            ["--rounds", "n_rounds"],
            type=int,
            default=5,
            show_default=True,
            help="Measurements of each side.",
        ),
    ],
    lines=(
        "actorllama bench exactness",
        "actorllama bench exactness --model model.gguf --at 512 --tokens 16 --rounds 3 --json",
        "actorllama bench exactness --shape 0.5b -n 8",
    ),
)
def command(
    *,
    model: str | None,
    shape: str | None,
    n_seq: int,
    lengths: tuple[int, ...],
    n_tokens: int,
    n_rounds: int,
    n_threads: int,
    as_json: bool,
    plot: Path | None,
) -> int:
    """Decode with and without flash attention: what exact costs against faithful.

    Both sides are bare llama_decode loops, in turns; prompt processing and decoding are told apart. A ratio
    of 0.92 says that exact takes 8 % of the speed. Which of the two holds is told by `actorllama verify`.
    """
    from actorllama.bench import CostOptions, run_exactness_cost

    target = target_from(model, shape)
    try:
        context = ContextOptions(n_seq=n_seq, n_threads=n_threads)
    except ValueError as exc:
        raise RequestError(field="n", value=n_seq, reason=str(exc.args[0])) from exc
    options = CostOptions(
        model=target.given or Path(),
        label=target.label,
        context=context,
        lengths=lengths,
        n_tokens=n_tokens,
        n_rounds=n_rounds,
    )
    options = evolve(options, model=target.path)  # only now: what is refused writes no model
    report, code = measure(lambda: run_exactness_cost(options, note))
    if report is not None:
        tell_lines(report, as_json=as_json)
        draw_report(report, plot)
    return code
