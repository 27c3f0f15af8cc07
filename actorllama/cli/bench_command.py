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


class _Bench(click.Command):
    """Lists its scenarios between its options and its examples."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from actorllama.bench.scenarios import SCENARIOS

        rows = [(scenario.name, scenario.about) for scenario in SCENARIOS if scenario.bench == self.name]
        if rows:
            with formatter.section("Scenarios"):
                formatter.write_dl(rows)
        super().format_epilog(ctx, formatter)


def bench_command(
    name: str, *, asks: str, takes: str, params: Sequence[click.Parameter], lines: Sequence[str]
) -> Callable[[Callable[P, int]], click.Command]:
    """Make a bench of a function; it also gets ``as_json`` and ``plot`` (a path, or ``None``).

    Args:
        name: As it is typed.
        asks: What it answers, for the list of all benches.
        takes: How long it takes with its defaults on two cores, such as ``20 s`` or ``2 min``.
        params: Its own options.
        lines: Examples.
    """

    def decorate(run: Callable[P, int]) -> click.Command:
        doc = (run.__doc__ or "").strip()
        return _Bench(
            name,
            callback=run,
            params=[*params, SCENARIO, JSON, _PLOT],
            help=f"{doc}\n\n    Takes {takes} on two cores with the defaults.",
            short_help=f"{takes:<6} {asks}",
            epilog=examples(*lines),
        )

    return decorate


def count_option(name: str, field: str, default: int, text: str, *, at_least: int = 1) -> click.Option:
    """Make an option that is a number of things."""
    return click.Option(
        [name, field], type=click.IntRange(min=at_least), default=default, show_default=True, help=text
    )
