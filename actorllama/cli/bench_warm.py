"""``actorllama bench warm``: how soon the first token comes when the prefix was there before."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from actorllama.cli.bench_command import bench_command
from actorllama.cli.bench_run import draw_report, measure, tell_table
from actorllama.cli.bench_target import TARGET, n_ctx_train_of, target_from
from actorllama.cli.screen import note

__all__ = ["command"]

_SOURCES: Final = ("cold", "live", "ram", "disk", "restart")

_PARAMS: Final[list[click.Parameter]] = [
    *TARGET,
    click.Option(
        ["--at", "lengths"],
        type=int,
        multiple=True,
        metavar="TOKENS",
        help="Tokens of the prefix; may be repeated.  [default: 512, 2048, 4096, 8192, as far as they fit]",
    ),
    click.Option(
        ["--source", "sources"],
        type=click.Choice(_SOURCES),
        multiple=True,
        help="Where the prefix is; may be repeated.  [default: all]",
    ),
    click.Option(
        ["--suffix", "n_suffix"], type=int, default=16, show_default=True, help="Tokens behind the prefix."
    ),
    click.Option(
        ["--neighbours", "n_neighbours"],
        type=int,
        default=2,
        show_default=True,
        help="Turns that decode in other sequences; 0 leaves those cases out.",
    ),
    click.Option(
        ["--rounds", "n_rounds"], type=int, default=3, show_default=True, help="Turns of each case."
    ),
]


@bench_command(
    "warm",
    asks="how soon the first token comes where its prefix was saved",
    takes="2 min",
    params=_PARAMS,
    lines=(
        "actorllama bench warm",
        "actorllama bench warm --shape 0.5b --at 4096 --source ram --source disk --json",
        "actorllama bench warm --model model.gguf --at 64 --rounds 1 --neighbours 0",
    ),
)
def command(
    *,
    model: str | None,
    shape: str | None,
    n_threads: int,
    lengths: tuple[int, ...],
    sources: tuple[str, ...],
    n_suffix: int,
    n_neighbours: int,
    n_rounds: int,
    as_json: bool,
    plot: Path | None,
) -> int:
    """Measure the time to the first token with a prefix that is warm, by where it is.

    cold: nowhere; live: in its sequence; ram; disk, in the page cache; restart: on disk, for a process that
    has just started. Beside each the bare thing on the same thread. A turn whose prefix came from elsewhere
    is an error, not a figure, and the exit code is 1.
    """
    from actorllama.bench.warm import run_warm_bench
    from actorllama.bench.warm_options import WARM_SOURCES, WarmBenchOptions

    target = target_from(model, shape)
    path = target.path
    options = WarmBenchOptions(
        model=path,
        label=target.label,
        n_ctx_train=n_ctx_train_of(path),
        lengths=lengths,
        sources=tuple(source for source in WARM_SOURCES if source in sources or not sources),
        n_suffix=n_suffix,
        n_neighbours=n_neighbours,
        n_rounds=n_rounds,
        n_threads=n_threads,
    )

    report, code = measure(lambda: run_warm_bench(options, note))
    if report is None:
        return code
    tell_table(report, as_json=as_json)
    draw_report(report, plot)
    return code or int(any(case.error is not None for case in report.cases))
