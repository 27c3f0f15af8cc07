"""Where a command writes: answers to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

import click

from actorllama.cli.failures import one_line

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "clean",
    "console_for",
    "is_fancy",
    "note",
    "progress",
    "say",
    "say_fields",
    "say_json",
    "say_piece",
    "say_table",
    "size_of",
]

_KEPT: Final = frozenset("\n\t")
_WIDE: Final = 10_000
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def is_fancy(stream: TextIO) -> bool:
    """Whether escape codes may be written to a stream: a terminal that takes them, and nobody objects."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def clean(text: str) -> str:
    """Replace control characters: a model, a file name or metadata may hold escape codes of their own."""
    if text.isprintable():
        return text
    return "".join(c if c in _KEPT or not _is_control(c) else "\ufffd" for c in text)


def say(text: str = "") -> None:
    """Write one line of the answer."""
    click.echo(clean(text))


def say_piece(text: str) -> None:
    """Write a piece of the answer at once, without ending the line."""
    click.echo(clean(text), nl=False)


def say_json(answer: Mapping[str, object]) -> None:
    """Write the whole answer as one JSON object on one line."""
    click.echo(json.dumps(answer, allow_nan=False))


def say_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Write names and values in two columns."""
    rows = [(name, clean(value)) for name, value in fields]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        label = f"{name:<{width}}"
        click.echo(f"{click.style(label, bold=True) if is_fancy(sys.stdout) else label}  {one_line(value)}")


def say_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table; on a terminal it fits the width, elsewhere no cell is cut or folded."""
    from rich.table import Table
    from rich.text import Text

    console = console_for(sys.stdout)
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def note(text: str) -> None:
    """Write one line beside the answer."""
    click.echo(one_line(text), err=True)


def console_for(stream: TextIO) -> Console:
    """Make a rich console that writes escape codes only where they are welcome."""
    from rich.console import Console

    if is_fancy(stream):
        return Console(file=stream, highlight=False, markup=False, emoji=False)
    return Console(
        file=stream,
        force_terminal=False,
        color_system=None,
        no_color=True,
        width=_WIDE,
        highlight=False,
        markup=False,
        emoji=False,
    )


@contextmanager
def progress(title: str) -> Generator[Callable[[float], None] | None, None, None]:
    """Show a bar on standard error, where that is a terminal.

    Yields:
        What to call with 0 to 1 as the work goes on; ``None`` where nobody watches.
    """
    if not is_fancy(sys.stderr):
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console_for(sys.stderr), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


def size_of(n_bytes: int) -> str:
    """Tell a number of bytes for people."""
    size = float(n_bytes)
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000
