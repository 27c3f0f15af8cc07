"""``actorllama bench codec``: what the codecs save, cost and spoil."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from actorllama.cli.bench_command import bench_command
from actorllama.cli.bench_run import draw_report, measure, tell_table
from actorllama.cli.model_summary import summarise
from actorllama.cli.parameters import model_path_from
from actorllama.cli.screen import note
from actorllama.demo import model_path

__all__ = ["command"]

_PARAMS: Final[list[click.Parameter]] = [
    click.Argument(["model"], metavar="[MODEL]", required=False),
    click.Option(
        ["--tokens", "n_tokens"], type=int, default=512, show_default=True, help="Length of the text."
    ),
    click.Option(
        ["--boundaries", "n_boundaries"],
        type=int,
        default=4,
        show_default=True,
        help="Places at which the state is taken and continued.",
    ),
    click.Option(
        ["--positions", "n_positions"],
        type=int,
        default=32,
        show_default=True,
        help="Tokens compared behind each.",
    ),
    click.Option(["--seed"], type=click.IntRange(0, 2**32 - 1), default=7, help="Of the text."),
    click.Option(["--threads", "n_threads"], type=int, default=1, show_default=True, help="0: one per core."),
]


@bench_command(
    "codec",
    asks="what encodings of saved states save, cost and spoil",
    takes="10 s",
    params=_PARAMS,
    lines=(
        "actorllama bench codec",
        "actorllama bench codec model.gguf --tokens 4096 --json",
        "actorllama bench codec --tokens 64 --boundaries 1 --positions 8",
    ),
)
def command(
    *,
    model: str | None,
    n_tokens: int,
    n_boundaries: int,
    n_positions: int,
    seed: int,
    n_threads: int,
    as_json: bool,
    plot: Path | None,
) -> int:
    """Measure what the codecs save, cost and spoil on a model's own states.

    The model writes a text; its state is taken on the way, encoded, decoded, restored into another sequence
    and continued with the same tokens. KL compares all probabilities with those of the run that was never
    saved: lossless codecs must be exactly 0, and the exit code is 1 if one is not.
    """
    from actorllama.bench.codec import CodecBenchOptions, run_codec_bench

    path = model_path_from(model)
    if path is not None:
        summarise(path)  # tell an unusable file before anything is started
    options = CodecBenchOptions(
        model=path or model_path(),
        label="demo" if path is None else path.name,
        n_tokens=n_tokens,
        n_boundaries=n_boundaries,
        n_positions=n_positions,
        n_threads=n_threads,
        seed=seed,
    )

    report, code = measure(lambda: run_codec_bench(options, note))
    if report is None:
        return code
    tell_table(report, as_json=as_json)
    draw_report(report, plot)
    return code or int(bool(report.not_exact))
