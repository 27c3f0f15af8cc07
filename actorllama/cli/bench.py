"""``actorllama bench``: reproducible measurements, each a ratio against the bare thing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import click
from attrs import evolve

from actorllama.cli.bench_codec import command as codec
from actorllama.cli.bench_conversation import command as conversation
from actorllama.cli.bench_cost import with_cost
from actorllama.cli.bench_eviction import command as eviction
from actorllama.cli.bench_run import LinesReport, measure, tell_lines
from actorllama.cli.bench_warm import command as warm
from actorllama.cli.examples import examples
from actorllama.cli.parameters import JSON, model_path_from
from actorllama.cli.screen import note
from actorllama.errors import RequestError
from actorllama.native import ContextOptions

__all__ = ["command"]

_SHAPES: Final = ("15m", "0.5b")
_MAX_COUNT: Final = 512


_MODEL: Final = click.Option(["--model", "-m"], metavar="PATH", help="A GGUF file.")
_SHAPE: Final = click.Option(
    ["--shape"], type=click.Choice(_SHAPES), help="A random model of this shape instead.  [default: 15m]"
)
_THREADS: Final = click.Option(
    ["--threads", "n_threads"], type=int, default=0, show_default=True, help="0: one per core."
)


@click.group("bench")
def command() -> None:
    """Measure actorllama against what it is built on.

    Compare ratios, not speeds: both sides run in one process, in turns, on the same machine.
    """


command.add_command(codec)
command.add_command(conversation)
command.add_command(eviction)
command.add_command(warm)


@command.command(
    "decode",
    params=[
        _MODEL,
        _SHAPE,
        click.Option(["-n", "n_seq"], type=int, default=8, show_default=True, help="Turns side by side."),
        click.Option(
            ["--tokens", "n_tokens"], type=int, default=64, show_default=True, help="Tokens of each turn."
        ),
        click.Option(
            ["--rounds", "n_rounds"],
            type=int,
            default=7,
            show_default=True,
            help="Measurements of each side.",
        ),
        _THREADS,
        click.Option(
            ["--whole", "is_whole"], is_flag=True, help="Wait for whole replies instead of reading streams."
        ),
        click.Option(
            ["--others", "n_others"],
            type=int,
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
            ["--telemetry", "is_telemetry"], is_flag=True, help="Measure also with every handler attached."
        ),
        JSON,
    ],
    epilog=examples(
        "actorllama bench decode",
        "actorllama bench decode --shape 0.5b -n 32 --json",
        "actorllama bench decode --model model.gguf -n 2 --tokens 8 --rounds 1 --no-cost --telemetry",
    ),
)
def decode(
    *,
    model: str | None,
    shape: str | None,
    n_seq: int,
    n_tokens: int,
    n_rounds: int,
    n_threads: int,
    n_others: int,
    is_whole: bool,
    is_cost: bool,
    is_telemetry: bool,
    as_json: bool,
) -> int:
    """Decode through the runtime, and with llama_decode alone.

    The median of the rounds' ratios is the result. A random model is written once and kept in the cache.
    At the end a short measurement says what exact costs against faithful; actorllama bench exactness takes
    its time over that.
    """
    from actorllama.bench import DecodeBenchOptions, run_decode_bench

    _check_counts(n_threads=n_threads, n_others=n_others)
    path, label = _checked_model(model, shape)
    options = DecodeBenchOptions(
        model=path or Path(),
        label=label,
        n_seq=n_seq,
        n_tokens=n_tokens,
        n_rounds=n_rounds,
        n_threads=n_threads,
        n_other_models=n_others,
        is_streamed=not is_whole,
        has_telemetry=is_telemetry,
    )
    if path is None:
        options = evolve(options, model=_shape_path(label))

    async def with_its_cost() -> LinesReport:
        report = await run_decode_bench(options, note)
        return (
            await with_cost(report, options.model, label, n_seq=n_seq, n_threads=n_threads)
            if is_cost
            else report
        )

    return _measure(with_its_cost, as_json=as_json)


@command.command(
    "exactness",
    params=[
        _MODEL,
        _SHAPE,
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
        _THREADS,
        JSON,
    ],
    epilog=examples(
        "actorllama bench exactness",
        "actorllama bench exactness --model model.gguf --at 512 --tokens 16 --rounds 3 --json",
        "actorllama bench exactness --shape 0.5b -n 8",
    ),
)
def exactness(
    *,
    model: str | None,
    shape: str | None,
    n_seq: int,
    lengths: tuple[int, ...],
    n_tokens: int,
    n_rounds: int,
    n_threads: int,
    as_json: bool,
) -> int:
    """Decode with and without flash attention: what exact costs against faithful.

    Both sides are bare llama_decode loops, in turns; prompt processing and decoding are told apart. A ratio
    of 0.92 says that exact takes 8 % of the speed. Which of the two holds is told by `actorllama verify`.
    """
    from actorllama.bench import CostOptions, run_exactness_cost

    _check_counts(n_threads=n_threads)
    path, label = _checked_model(model, shape)
    try:
        context = ContextOptions(n_seq=n_seq, n_threads=n_threads)
    except ValueError as exc:
        raise RequestError(field="n", value=n_seq, reason=str(exc.args[0])) from exc
    options = CostOptions(
        model=path or Path(),
        label=label,
        context=context,
        lengths=lengths,
        n_tokens=n_tokens,
        n_rounds=n_rounds,
    )
    if path is None:
        options = evolve(options, model=_shape_path(label))
    return _measure(lambda: run_exactness_cost(options, note), as_json=as_json)


@command.command(
    "actors", params=[JSON], epilog=examples("actorllama bench actors", "actorllama bench actors --json")
)
def actors(*, as_json: bool) -> int:
    """Measure the actor kernel against bare trio: calls, casts, starts, memory."""
    from actorllama.bench.actors import run_actors_bench

    return _measure(lambda: run_actors_bench(on_progress=note), as_json=as_json)


def _measure(work: Callable[[], Awaitable[LinesReport]], *, as_json: bool) -> int:
    report, code = measure(work)
    if report is not None:
        tell_lines(report, as_json=as_json)
    return code


def _checked_model(model: str | None, shape: str | None) -> tuple[Path | None, str]:
    """Return the file, if one was given, and the name of what is measured."""
    from actorllama.cli.model_summary import summarise

    if model is not None and shape is not None:
        raise RequestError(field="shape", value=shape, reason="give either a model or a shape")
    path = model_path_from(model)
    if path is None:
        return None, shape or _SHAPES[0]
    summarise(path)  # tell an unusable file before anything is started
    return path, path.name


def _shape_path(shape: str) -> Path:
    from actorllama.bench import shape_path

    note(f"random model {shape}: written on first use, then kept")
    return shape_path(shape)


def _check_counts(**counts: int) -> None:
    """Refuse what the options class does not look at."""
    for field, value in counts.items():
        if not 0 <= value <= _MAX_COUNT:
            raise RequestError(field=field, value=value, reason=f"must be 0 to {_MAX_COUNT}")
