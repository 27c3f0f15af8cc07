"""``actorllama bench decode``: how much of the bare loop's speed a turn gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import evolve

from actorllama.cli.bench_command import bench_command
from actorllama.cli.bench_cost import with_cost
from actorllama.cli.bench_run import draw_report, measure, tell_lines
from actorllama.cli.bench_target import TARGET, target_from
from actorllama.cli.screen import note

if TYPE_CHECKING:
    from actorllama.bench import DecodeBenchOptions

__all__ = ["command"]


@bench_command(
    "decode",
    asks="how much of llama_decode's speed a turn gets",
    takes="50 s",
    params=[
        *TARGET,
        click.Option(["-n", "n_seq"], type=int, default=8, show_default=True, help="Turns side by side."),
        click.Option(
            ["--tokens", "n_tokens"], type=int, default=256, show_default=True, help="Tokens of each turn."
        ),
        click.Option(
            ["--rounds", "n_rounds"],
            type=int,
            default=9,
            show_default=True,
            help="Measurements of each side.",
        ),
        click.Option(
            ["--keep-threads", "keeps_threads"],
            is_flag=True,
            help="Let the bare loop keep its compute threads too; by itself llama_decode starts new ones.",
        ),
        click.Option(
            ["--whole", "is_whole"], is_flag=True, help="Wait for whole replies instead of reading streams."
        ),
        click.Option(
            ["--others", "n_others"],
            type=click.IntRange(0, 512),
            default=0,
            show_default=True,
            help="Idle models loaded beside.",
        ),
        click.Option(
            ["--cost/--no-cost", "is_cost"],
            default=True,
            show_default=True,
            help="Say also what exact costs against faithful: a few seconds more.",
        ),
        click.Option(
            ["--profile", "is_profile"],
            is_flag=True,
            help="Say where the time of a step goes, and what a busy event loop costs.",
        ),
        click.Option(
            ["--telemetry", "is_telemetry"],
            is_flag=True,
            help="Say also what all handlers of telemetry cost: minutes more.",
        ),
        click.Option(
            ["--turns", "n_turns"],
            type=int,
            default=10_000,
            show_default=True,
            help="Turns for that, with handlers and without.",
        ),
    ],
    lines=(
        "actorllama bench decode",
        "actorllama bench decode --scenario decode-05b -n 32 --json",
        "actorllama bench decode --shape 15m --profile --rounds 3",
        "actorllama bench decode --model model.gguf -n 2 --tokens 8 --no-cost --telemetry --turns 64",
    ),
)
def command(
    *,
    model: str | None,
    shape: str | None,
    n_seq: int,
    n_tokens: int,
    n_rounds: int,
    n_threads: int,
    n_others: int,
    keeps_threads: bool,
    is_whole: bool,
    is_cost: bool,
    is_profile: bool,
    is_telemetry: bool,
    n_turns: int,
    as_json: bool,
    plot: Path | None,
) -> int:
    """Decode through the runtime, and with llama_decode alone.

    Steps of both take turns; the result is the median of what neighbours compare to. A random model is
    written once and kept in the cache.

    At the end a short measurement says what exact costs against faithful; actorllama bench exactness takes
    its time over that. With --profile it measures the parts of a step instead.
    """
    from actorllama.bench import DecodeBenchOptions, run_decode_bench

    target = target_from(model, shape)
    options = DecodeBenchOptions(
        model=target.given or Path(),
        label=target.label,
        n_seq=n_seq,
        n_tokens=n_tokens,
        n_rounds=n_rounds,
        n_threads=n_threads,
        keeps_threads_bare=keeps_threads,
        n_other_models=n_others,
        is_streamed=not is_whole,
        has_telemetry=is_telemetry,
        n_turns=n_turns,
    )
    options = evolve(options, model=target.path)  # only now: what is refused writes no model
    if is_profile:
        return _profile(options, as_json=as_json, plot=plot)
    report, code = measure(lambda: run_decode_bench(options, note))
    if report is None:
        return code
    draw_report(report, plot)
    if not is_cost:
        tell_lines(report, as_json=as_json)
        return code
    with_its_cost, code = measure(
        lambda: with_cost(report, options.model, target.label, n_seq=n_seq, n_threads=n_threads)
    )
    tell_lines(with_its_cost or report, as_json=as_json)
    return code


def _profile(options: DecodeBenchOptions, *, as_json: bool, plot: Path | None) -> int:
    from actorllama.bench.decode_profile import run_decode_profile

    profile, code = measure(lambda: run_decode_profile(options, note))
    if profile is not None:
        draw_report(profile, plot)
        tell_lines(profile, as_json=as_json)
    return code
