"""``actorllama tree``: the supervision tree of a runtime at work."""

from __future__ import annotations

from functools import partial

import click
from attrs import asdict

from actorllama.actors import TreeNode, format_tree
from actorllama.cli.examples import examples
from actorllama.cli.interrupts import Interrupts, run_interruptible
from actorllama.cli.loading import Loading, loading_from, open_model
from actorllama.cli.parameters import JSON, LAYOUT
from actorllama.cli.screen import say, say_json

__all__ = ["command"]


@click.command("tree", params=[*LAYOUT, JSON], epilog=examples("actorllama tree", "actorllama tree --json"))
@click.pass_context
def command(context: click.Context, /, *, as_json: bool, **_shared: object) -> int:
    """Show who supervises whom.

    Opens a runtime with the embedded demo model, begins two turns, looks at the tree, and closes it.
    """
    loading = loading_from(context, None)
    nodes, code = run_interruptible(partial(_look, loading))
    if not code:
        if as_json:
            say_json({"tree": [asdict(node) for node in nodes]})
        else:
            say(format_tree(nodes).rstrip("\n"))
    return code


async def _look(loading: Loading, interrupts: Interrupts) -> tuple[tuple[TreeNode, ...], int]:
    nodes: tuple[TreeNode, ...] = ()
    async with open_model(loading, interrupts) as (runtime, model):
        if model is not None:
            with interrupts.stopping():
                async with (
                    model.stream("1 2 3", max_tokens=64) as one,
                    model.stream("a b c", max_tokens=64) as two,
                ):
                    async for _ in one:
                        break
                    async for _ in two:
                        break
                    nodes = runtime.system.tree()
    return nodes, interrupts.exit_code
