"""The group ``actorllama`` and its global options."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, get_args

import click

import actorllama
from actorllama.cli.app import load_app
from actorllama.cli.examples import examples
from actorllama.telemetry.event import Level

__all__ = ["COMMANDS", "LateGroup", "root"]

COMMANDS: Final[Mapping[str, str]] = {
    "run": "actorllama.cli.run",
    "chat": "actorllama.cli.chat",
    "console": "actorllama.cli.console.command",
    "info": "actorllama.cli.info",
    "models": "actorllama.cli.models",
    "verify": "actorllama.cli.verify",
    "cache": "actorllama.cli.cache",
    "doctor": "actorllama.cli.doctor",
    "tree": "actorllama.cli.tree",
    "top": "actorllama.cli.top",
    "bench": "actorllama.cli.bench",
    "config": "actorllama.cli.configuration",
}
"""Each command's module, which has it as ``command``; in the order of the help."""


class LateGroup(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: object = import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


def _print_version(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if not value or context.resilient_parsing:
        return
    click.echo(f"actorllama {actorllama.__version__}")
    context.exit()


@click.group(
    cls=LateGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        'actorllama run "What is an actor?" "What is 2 + 3?"',
        "actorllama chat",
        "actorllama doctor",
    ),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Tell the version.",
)
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of options."
)
@click.option(
    "--log-level",
    type=click.Choice(get_args(Level)),
    help="Quietest level that is logged.  [default: warning]",
)
@click.option(
    "--log-format", type=click.Choice(["auto", "human", "json"]), help="Form of a log line.  [default: auto]"
)
@click.pass_context
def root(
    context: click.Context, *, config_path: Path | None, log_level: str | None, log_format: str | None
) -> None:
    """Run llama.cpp under Erlang-style supervision.

    A small demo model comes with the package: every command works without a download. Answers go to
    standard output, everything else to standard error. `actorllama COMMAND --help` tells more.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    given = {"telemetry.log_level": log_level, "telemetry.log_format": log_format}
    context.obj = load_app(
        config_path=config_path,
        arguments={name: value for name, value in given.items() if value is not None},
    )
