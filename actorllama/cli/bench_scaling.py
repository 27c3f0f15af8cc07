"""``actorllama bench scaling``: how costs grow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import evolve

from actorllama.cli.bench_command import bench_command
from actorllama.cli.bench_run import draw_report, measure, tell_lines
from actorllama.cli.bench_target import TARGET, target_from
from actorllama.cli.screen import note

if TYPE_CHECKING:
    from actorllama.bench.scaling import ScalingAxis

__all__ = ["command"]

_AXES = ("sequences", "context", "conversations", "actors")


@bench_command(
    "scaling",
    asks="how costs grow, beside what theory says",
    takes="2 min",
    params=[
        click.Argument(["axes"], type=click.Choice(_AXES), nargs=-1),
        *TARGET,
        click.Option(
            ["--rounds", "n_rounds"],
            type=int,
            default=3,
            show_default=True,
            help="Measurements of each point.",
        ),
        click.Option(
            ["--tolerance"],
            type=float,
            default=0.2,
            show_default=True,
            help="An exponent this much above that of theory is told as worse.",
        ),
        click.Option(
            ["--quick", "is_quick"], is_flag=True, help="Small sizes only: to see that it works, no more."
        ),
    ],
    lines=(
        "actorllama bench scaling --plot scaling.png",
        "actorllama bench scaling sequences context --shape 0.5b --json",
        "actorllama bench scaling conversations actors --quick",
    ),
)
def command(
    *,
    axes: tuple[ScalingAxis, ...],
    model: str | None,
    shape: str | None,
    n_threads: int,
    n_rounds: int,
    tolerance: float,
    is_quick: bool,
    as_json: bool,
    plot: Path | None,
) -> int:
    """Measure how costs grow: sequences, context, conversations in the cache, actors.

    A line through the logarithms of each curve gives its exponent, with a standard error; beside it stands
    what theory says. A cost that grows faster is said so.

    sequences: a token's cost, 1 to 64 side by side. context: a token's cost, restore and save, 512 to 8,192
    tokens. conversations: look-up, put, put that evicts, start with so many files, 10 to 100,000. actors:
    call, start, memory, 10 to 10,000. Without a name all of them, half a minute each.
    """
    from actorllama.bench.scaling import AXES, ScalingBenchOptions, run_scaling_bench

    target = target_from(model, shape)
    chosen: tuple[ScalingAxis, ...] = tuple(axis for axis in AXES if not axes or axis in axes)
    options = ScalingBenchOptions(
        model=target.given or Path(),
        label=target.label,
        axes=chosen,
        n_rounds=n_rounds,
        n_threads=n_threads,
        is_quick=is_quick,
        tolerance=tolerance,
    )
    if options.needs_model:
        options = evolve(options, model=target.path)  # only now: what is refused writes no model
    report, code = measure(lambda: run_scaling_bench(options, note))
    if report is not None:
        tell_lines(report, as_json=as_json)
        draw_report(report, plot)
    return code
