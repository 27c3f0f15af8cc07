"""Where a console is shown and its lines come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from actorllama.cli.chat_lines import Leave

__all__ = ["Front"]


class Front(Protocol):
    """A terminal, or a pipe.

    Owner: the console's one task; ``wake`` may come from the signal's.
    """

    is_terminal: bool
    """Whether a person sits there."""

    async def read(self, *, is_python: bool = False, is_more: bool = False) -> str | Leave:
        """Wait for a line, or for several that belong together.

        Args:
            is_python: Whether it will be read as Python.
            is_more: Whether it goes on with the line before.
        """
        ...

    def wake(self) -> None:
        """Make a waiting ``read`` return; for what a cancellation cannot reach."""
        ...

    def show(self, text: str) -> None:
        """Show an answer."""
        ...

    def show_table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Show an answer in columns."""
        ...

    def note(self, text: str) -> None:
        """Tell what was done, or why not, beside the answers."""
        ...

    def reply(self) -> AbstractContextManager[Callable[[str], None]]:
        """Show a reply as it comes.

        Yields:
            What to call with each piece.
        """
        ...
