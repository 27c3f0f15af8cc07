"""A reply as Markdown while it is still coming: what is settled is printed once, the rest is redrawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from actorllama.cli.screen import clean

__all__ = ["MarkdownStream", "settled"]

_REDRAW_S: Final = 0.08
_MARGIN: Final = 4
_FENCES: Final = ("```", "~~~")


def settled(text: str) -> int:
    """Count the characters at the beginning that no later text can draw differently.

    They end with a blank line outside of a fenced block. Redrawing everything would cost more with each
    token, and what has scrolled away cannot be redrawn.
    """
    at = end = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        at += len(line)
        bare = line.strip()
        if fence:
            fence = "" if bare == fence else fence
        elif bare.startswith(_FENCES):
            fence = bare[:3]
        elif not bare and line.endswith("\n"):
            end = at
    return end


class MarkdownStream:
    """Draws one reply. Owner: the front; used from the trio thread only."""

    def __init__(self, console: Console, status: Callable[[], str]) -> None:
        """Draw on a console, with a status line below."""
        self._console = console
        self._status = status
        self._rest = ""
        self._drawn_s = 0.0
        self.live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def start(self) -> None:
        """Draw the status line: the turn may wait for others, or have much to read before it speaks."""
        self.live.start()
        self.live.update(self._picture(), refresh=True)

    def feed(self, piece: str) -> None:
        """Take a piece of the reply; redraw if that was not done just now."""
        self._rest += clean(piece)
        n_settled = settled(self._rest)
        if n_settled:
            self._console.print(Markdown(self._rest[:n_settled]))
            self._rest = self._rest[n_settled:]
        if n_settled or time.monotonic() - self._drawn_s >= _REDRAW_S:
            self.live.update(self._picture(), refresh=True)
            self._drawn_s = time.monotonic()

    def finish(self) -> None:
        """Leave the whole reply behind, without the status line."""
        self.live.update(Text(""))
        self.live.stop()
        if self._rest.strip():
            self._console.print(Markdown(self._rest))

    def _picture(self) -> RenderableType:
        lines = self._rest.splitlines()
        n_most = max(self._console.height - _MARGIN, 4)
        body = Text("\n".join(lines[-n_most:])) if len(lines) > n_most else Markdown(self._rest)
        status = Text(self._status(), style="reverse", no_wrap=True, overflow="ellipsis")
        return Group(body, status)
