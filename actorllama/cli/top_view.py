"""Where snapshots appear: on the whole terminal, as plain text, or as JSON lines."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actorllama.cli.screen import console_for, is_fancy, say, say_fields, say_json, say_table
from actorllama.cli.top_link import Said
from actorllama.cli.top_screen import MODEL_HEADINGS, TopScreen, screen_of

__all__ = ["LiveView", "TopView", "top_view_for"]

_STYLES: Final = {"warning": "yellow", "error": "bold red"}
_N_PLAIN_EVENTS: Final = 5


class TopView(Protocol):
    """Where the snapshots of one runtime appear. Used as a context while it is watched."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, hello: Said, snapshot: Said) -> None:
        """Show a snapshot."""
        ...

    def refresh(self) -> None:
        """Draw again: the terminal has another size."""
        ...


def top_view_for(*, as_json: bool, is_once: bool) -> TopView:
    """Choose the view: the whole screen of a terminal, unless one look is all that is wanted."""
    if as_json:
        return LinesView()
    return PlainView() if is_once or not is_fancy(sys.stdout) else LiveView(console_for(sys.stdout))


class LinesView:
    """One JSON object a line."""

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Nothing to put back."""

    def show(self, hello: Said, snapshot: Said) -> None:
        """Write the snapshot, and whose it is."""
        say_json({"pid": hello.get("pid"), "version": hello.get("version"), **snapshot})

    def refresh(self) -> None:
        """Lines have no size."""


class PlainView(LinesView):
    """A few lines of text for each snapshot."""

    def __init__(self) -> None:
        """Begin without a snapshot."""
        self._before: Said | None = None

    def show(self, hello: Said, snapshot: Said) -> None:
        """Write title, models, memory and the last events."""
        shown = screen_of(hello, snapshot, self._before)
        self._before = snapshot
        say(shown.title)
        if shown.models:
            say_table(MODEL_HEADINGS, shown.models)
        say_fields(shown.memory)
        for line in shown.events[-_N_PLAIN_EVENTS:]:
            say(line)
        say()


class LiveView:
    """The whole screen, drawn again with each snapshot; what was there before comes back at the end."""

    def __init__(self, console: Console) -> None:
        """Draw on ``console``."""
        self._console = console
        self._shown: TopScreen | None = None
        self._before: Said | None = None
        self._live = Live(console=console, screen=True, auto_refresh=False, get_renderable=self._draw)

    def __enter__(self) -> Self:
        """Take the screen."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Give the screen back."""
        self._live.__exit__(kind, error, trace)

    def show(self, hello: Said, snapshot: Said) -> None:
        """Draw the snapshot."""
        self._shown = screen_of(hello, snapshot, self._before)
        self._before = snapshot
        self._live.refresh()

    def refresh(self) -> None:
        """Draw the last one again."""
        self._live.refresh()

    def _draw(self) -> RenderableType:
        return (
            Text("waiting for the runtime ...") if self._shown is None else draw(self._shown, self._console)
        )


def draw(shown: TopScreen, console: Console) -> RenderableType:
    """Lay one screen out: models and memory first, events in the lines that are left."""
    models = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for heading in MODEL_HEADINGS:
        models.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in shown.models:
        models.add_row(*(Text(cell, style=_phase_style(row)) for cell in row))
    memory = Table.grid(padding=(0, 2))
    for name, value in shown.memory:
        memory.add_row(Text(name, style="bold"), Text(value, no_wrap=True, overflow="ellipsis"))
    n_used = 5 + len(shown.models) + len(shown.memory)
    n_left = max(0, console.height - n_used - 1)
    events = [
        Text(line, style=_event_style(line), no_wrap=True, overflow="ellipsis")
        for line in (shown.events[-n_left:] if n_left else ())
    ]
    title = Text(f"{shown.title}   (q leaves)", style="bold", no_wrap=True, overflow="ellipsis")
    return Group(title, Text(), models, Text(), memory, Text(), *events)


def _phase_style(row: tuple[str, ...]) -> str:
    return "" if row[1].startswith("ready") else "yellow"


def _event_style(line: str) -> str:
    level = line.split(" ", 2)[1] if line.count(" ") > 1 else ""
    return _STYLES.get(level, "dim")
