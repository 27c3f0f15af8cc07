"""Events of the runtime as lines on the console, while somebody wants to see them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from actorllama.cli.failures import one_line
from actorllama.telemetry import Bus, Event, EventName, Measurements, Metadata

__all__ = ["EventFeed", "event_line"]

_N_KEPT: Final = 200
_MAX_CHARS: Final = 160


class EventFeed:
    """Shows events. Handlers run in any thread, so they only take a note; the trio thread shows it.

    At most 200 lines wait; a flood shows its end, and how much is missing.

    Owner: the console's one task.
    """

    def __init__(self, bus: Bus, show: Callable[[str], None]) -> None:
        """Be silent until ``follow``."""
        self._bus = bus
        self._show = show
        self._waiting: deque[str] = deque(maxlen=_N_KEPT)
        self._n_noted = 0
        self._n_seen = 0
        self._token = trio.lowlevel.current_trio_token()
        self._followed: set[str] = set()

    @property
    def followed(self) -> tuple[str, ...]:
        """The dotted prefixes that are shown now."""
        return tuple(sorted(self._followed))

    def follow(self, prefix: str) -> bool:
        """Show events whose dotted name begins so, or stop; tell whether they are shown now."""
        handler_id = f"console:{prefix}"
        if prefix in self._followed:
            self._followed.discard(prefix)
            self._bus.detach(handler_id)
            return False
        self._followed.add(prefix)
        self._bus.attach(handler_id, _name_of(prefix), self._on_event, None)
        return True

    def stop(self) -> None:
        """Show nothing more."""
        for prefix in self.followed:
            self.follow(prefix)

    def _on_event(self, event: Event, measurements: Measurements, metadata: Metadata, _config: None) -> None:
        self._waiting.append(event_line(event, measurements, metadata))
        self._n_noted += 1
        try:
            self._token.run_sync_soon(self._flush, idempotent=True)
        except trio.RunFinishedError:
            return  # an event after the end has nobody to be shown to

    def _flush(self) -> None:
        lines: list[str] = []
        while self._waiting:
            lines.append(self._waiting.popleft())
        n_missing = self._n_noted - self._n_seen - len(lines)
        self._n_seen = self._n_noted
        if n_missing > 0:
            self._show(f"  ... {n_missing} events more")
        for line in lines:
            self._show(line)


def event_line(event: Event, measurements: Measurements, metadata: Metadata) -> str:
    """Write an event on one line."""
    words = [str(event)]
    words += [f"{key}={value:.4g}" for key, value in measurements.items()]
    words += [f"{key}={one_line(str(value))}" for key, value in metadata.items()]
    line = "  ".join(words)
    return f"  * {line if len(line) <= _MAX_CHARS else line[: _MAX_CHARS - 3] + '...'}"


def _name_of(prefix: str) -> EventName:
    return tuple(part for part in prefix.split(".") if part)
