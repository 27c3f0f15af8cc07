"""The console on a pipe: lines in, replies and answers out, no escape codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

from actorllama.cli.chat_lines import Leave, PipeLines
from actorllama.cli.screen import note, say, say_piece, say_table

__all__ = ["PlainFront"]


class PlainFront:
    """Reads a descriptor; answers go to standard output, all else to standard error.

    Owner: the console's one task.
    """

    def __init__(self, descriptor: int = 0) -> None:
        """Read from a descriptor; standard input by default, which may be a terminal without colours."""
        self.is_terminal = descriptor == 0 and sys.stdin.isatty()
        self._lines = PipeLines(descriptor)
        self._is_in_line = False

    async def read(self, *, is_python: bool = False, is_more: bool = False) -> str | Leave:
        """Wait for a line; one that ends in a backslash goes on in the next, unless it is Python.

        Raises:
            RequestError: The line cannot be used.
        """
        del is_more
        line = await self._lines.read()
        while not is_python and isinstance(line, str) and line.endswith("\\"):
            more = await self._lines.read()
            line = line[:-1] if isinstance(more, Leave) else f"{line[:-1]}\n{more}"
        return line

    def wake(self) -> None:
        """Nothing to wake: a cancellation is enough."""

    def show(self, text: str) -> None:
        """Write to standard output; never into the middle of a reply's line."""
        if self._is_in_line:
            say()
            self._is_in_line = False
        say(text)

    def show_table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write to standard output; no cell is cut."""
        say_table(headings, rows)

    def note(self, text: str) -> None:
        """Write one line to standard error."""
        note(text)

    @contextmanager
    def reply(self) -> Generator[Callable[[str], None], None, None]:
        """Write pieces as they come, and end the line."""

        def feed(piece: str) -> None:
            if piece:
                self._is_in_line = True
                say_piece(piece)

        try:
            yield feed
        finally:
            if self._is_in_line:
                self._is_in_line = False
                say()
