"""That something on the trio side has ended, as its waiter knows it."""

from __future__ import annotations

from collections.abc import Callable

from actorllama.aio.inbox import Inbox

__all__ = ["Ending"]


class Ending:
    """An end that comes once, with an error or without.

    Owner: whoever reads ``inbox``; the trio side only posts ``end`` and ``fail`` there.
    """

    def __init__(self, inbox: Inbox) -> None:
        """Begin with nothing ended."""
        self.inbox = inbox
        self.error: Exception | None = None
        self.is_ended = False
        self.watchers: list[Callable[[], None]] = []
        """Called when there is something new; whoever waits adds one and takes it away again."""

    def end(self) -> None:
        """End; what ended already stays as it is."""
        self.is_ended = True
        self.tell()

    def fail(self, error: Exception) -> None:
        """End with an error; what ended already stays as it is."""
        if not self.is_ended:
            self.error = error
            self.end()

    def tell(self) -> None:
        """Say that there is something new."""
        for watcher in tuple(self.watchers):
            watcher()
