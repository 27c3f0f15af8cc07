"""``actorllama bench``: reproducible measurements, each a ratio against the bare thing."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from actorllama.cli.examples import examples

__all__ = ["BENCHES", "command"]

BENCHES: Final = (
    *("decode", "warm", "conversation", "codec", "eviction", "actors", "exactness"),
    *("scaling", "peers"),
)
"""In the order of the help; each has its command in a module ``bench_<name>``."""


class _Benches(click.Group):
    """Imports a bench when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(BENCHES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in BENCHES:
            return None
        command: object = import_module(f"actorllama.cli.bench_{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(
    "bench",
    cls=_Benches,
    epilog=examples(
        "actorllama bench eviction --requests 300 --fraction 0.1",
        "actorllama bench actors --scenario actors --alive 100 --rounds 3 --json",
    ),
)
def command() -> None:
    """Measure actorllama against what it is built on, and how its costs grow.

    Compare ratios, not speeds: both sides run in one process, in turns, on the same machine. Take one that
    does nothing else: a load_average above 0.5 in an answer says that others were at work. The times below
    are for two cores and the defaults, with the random model of shape 15m where a model is needed.

    Every bench has --json (one object: machine, build, model, commit and options beside the figures),
    --plot FILE.png, and --scenario, which takes its options from one of config/bench or a file like those.
    """
