"""What all commands of ``actorllama bench`` have: --scenario, --json, --plot, and how long they take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, ParamSpec

import click

from actorllama.cli.bench_scenario import SCENARIO
from actorllama.cli.examples import examples
from actorllama.cli.parameters import JSON

__all__ = ["bench_command", "count_option"]

P = ParamSpec("P")


def _usable_plot(context: click.Context, _parameter: click.Parameter, given: str | None) -> Path | None:
    """Refuse what cannot be drawn before anything is measured."""
    if given is None or context.resilient_parsing:
        return None
    from actorllama.bench.plot import check_plot

    path = Path(given)
    check_plot(path)
    return path


_PLOT: Final = click.Option(
    ["--plot"],
    metavar="FILE.png",
    callback=_usable_plot,
    help="Draw the result, too; .svg and .pdf also go. Needs the plot extra.",
)


def bench_command(
    name: str, *, takes: str, params: Sequence[click.Parameter], lines: Sequence[str]
) -> Callable[[Callable[P, int]], click.Command]:
    """Make a bench of a function; it also gets ``as_json`` and ``plot`` (a path, or ``None``).

    Args:
        name: As it is typed.
        takes: How long it takes with its defaults on two cores, such as ``20 s``.
        params: Its own options.
        lines: Examples; scenarios are shown by the first that fits.
    """

    def decorate(run: Callable[P, int]) -> click.Command:
        doc = (run.__doc__ or "").strip()
        essence = doc.partition("\n")[0].rstrip(".")
        return click.Command(
            name,
            callback=run,
            params=[*params, SCENARIO, JSON, _PLOT],
            help=f"{doc}\n\n    Takes {takes} on two cores with the defaults.",
            short_help=f"{essence} ({takes}).",
            epilog=examples(*lines),
        )

    return decorate


def count_option(name: str, field: str, default: int, text: str, *, at_least: int = 1) -> click.Option:
    """Make an option that is a number of things."""
    return click.Option(
        [name, field], type=click.IntRange(min=at_least), default=default, show_default=True, help=text
    )
