"""Puts what the code itself says into the pages that ask for it; mkdocs calls `on_page_markdown`.

A page asks with a comment on a line of its own, ``<!-- generated: commands -->``; what stands in the page
around it is also what is read in the repository, where nothing is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from inspect import cleandoc

import click

from actorllama.cli.examples import examples_in
from actorllama.cli.root import root
from actorllama.config import render_default_toml

__all__ = ["fill", "on_page_markdown", "render_commands", "render_options"]

_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
_AS_IT_IS = "\b\n"  # how a help text tells click to leave a paragraph alone


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill a page before it is rendered."""
    return fill(markdown)


def fill(markdown: str) -> str:
    """Replace every mark with what it asks for.

    Raises:
        KeyError: Nothing of that name is generated.
    """
    return _MARK.sub(lambda found: _GENERATED[found[1]](), markdown)


def render_options() -> str:
    """Write every option with its default, as a file that could be used."""
    return f"```toml\n{render_default_toml().strip()}\n```"


def render_commands() -> str:
    """Write what ``--help`` says of every command, one section each."""
    return "\n".join(_sections("actorllama", root, level=2))


def _sections(path: str, command: click.Command, *, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join((path, *command.collect_usage_pieces(context)))
    yield from (f"{'#' * level} {path}", "", _prose(command.help or ""), "", "```text", usage, "```", "")
    yield from _table(command, context)
    lines = examples_in(command.epilog or "")
    if lines:
        yield from ("Examples:", "", "```bash", *lines, "```", "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _sections(f"{path} {name}", inner, level=min(level + 1, 4))


def _prose(words: str) -> str:
    """Keep paragraphs, and what click was told to keep as it is."""
    return "\n\n".join(
        f"```text\n{part.removeprefix(_AS_IT_IS)}\n```"
        if part.startswith(_AS_IT_IS)
        else " ".join(part.split())
        for part in cleandoc(words).split("\n\n")
    )


def _table(command: click.Command, context: click.Context) -> Iterator[str]:
    rows = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    if rows:
        yield from ("| option | |", "|---|---|")
        yield from (f"| `{_cell(names)}` | {_cell(words)} |" for names, words in rows)
        yield ""


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")


_GENERATED: Mapping[str, Callable[[], str]] = {"commands": render_commands, "options": render_options}
