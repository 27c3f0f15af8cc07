"""The console on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

import click

from actorllama.cli.chat_lines import Leave
from actorllama.cli.console.keyboard import Keyboard
from actorllama.cli.console.markdown_stream import MarkdownStream
from actorllama.cli.failures import one_line
from actorllama.cli.screen import clean, console_for, say, say_table

__all__ = ["TerminalFront"]


class TerminalFront:
    """Reads a keyboard, draws replies as Markdown.

    Owner: the console's one task.
    """

    def __init__(self) -> None:
        """Begin blank; ``equip`` gives it what it needs to read and to tell."""
        self.is_terminal = True
        self._keyboard: Keyboard | None = None
        self._status: Callable[[], str] = str
        self._stream: MarkdownStream | None = None

    def equip(self, keyboard: Keyboard, status: Callable[[], str]) -> None:
        """Give a keyboard, whose completion knows the desk that this front stands on, and a status bar."""
        self._keyboard = keyboard
        self._status = status

    async def read(self, *, is_python: bool = False, is_more: bool = False) -> str | Leave:
        """Wait for a line, or several of one message."""
        assert self._keyboard is not None, "a front is equipped before it reads"
        prompt = ("... " if is_more else ">>> ") if is_python else "> "
        return await self._keyboard.read(prompt)

    def wake(self) -> None:
        """End the prompt."""
        if self._keyboard is not None:
            self._keyboard.wake()

    def show(self, text: str) -> None:
        """Print; above the prompt, or above a reply that is still coming."""
        if self._stream is None:
            say(text)
        else:
            self._stream.live.console.print(clean(text), markup=False, highlight=False)

    def show_table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table that fits the terminal."""
        say_table(headings, rows)

    def note(self, text: str) -> None:
        """Print one dim line."""
        click.echo(click.style(one_line(text), dim=True))

    @contextmanager
    def reply(self) -> Generator[Callable[[str], None], None, None]:
        """Draw a reply as it comes."""
        stream = MarkdownStream(console_for(sys.stdout), self._status)
        self._stream = stream
        stream.start()
        try:
            yield stream.feed
        finally:
            self._stream = None
            stream.finish()
