"""``actorllama cache``: look at saved turns, tidy them, and carry them to another machine."""

from __future__ import annotations

import click

from actorllama.cli.cache_check import command as check
from actorllama.cli.cache_export import command as export
from actorllama.cli.cache_gc import command as gc
from actorllama.cli.cache_import import command as take_in
from actorllama.cli.cache_ls import command as ls
from actorllama.cli.cache_rm import command as rm
from actorllama.cli.cache_stat import command as stat
from actorllama.cli.examples import examples

__all__ = ["command"]


@click.group(
    "cache",
    epilog=examples(
        "actorllama cache ls --state-dir state",
        "actorllama cache gc --state-dir state --older-than 30d",
        "actorllama cache export --state-dir state --all -o saved.tar",
    ),
)
def command() -> None:
    """Look after the saved turns of a state_dir.

    A turn that was kept (keep=True, in a runtime with a state_dir) is a snapshot: what was said, and how it
    goes on. The rows that the model computed for it are beside it, in blocks that turns with the same
    beginning share, and a boundary for the rest. A turn whose rows are gone is computed again when it is
    resumed: that costs time, nothing else. Programs may use the state_dir meanwhile.
    """


for _one in (ls, stat, check, gc, rm, export, take_in):
    command.add_command(_one)
