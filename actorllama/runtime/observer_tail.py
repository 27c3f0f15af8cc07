"""The last facts that were told, as those who watch a runtime may see them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from typing import cast

from actorllama import actors, engine, kvcache, telemetry
from actorllama.runtime.events import EVENTS
from actorllama.telemetry import Bus, Event
from actorllama.telemetry.event import RANK, Measurements, Metadata
from actorllama.telemetry.redaction import plain_measurements, plain_metadata

__all__ = ["EventTail"]

_KNOWN = (*telemetry.EVENTS, *actors.EVENTS, *engine.EVENTS, *kvcache.EVENTS, *EVENTS)
_PRESSURE = (("pressure", "began"), ("pressure", "ended"))
_ASKED, _WON = ("pressure", "asked"), ("pressure", "won")
_MAX_CHARS = 300
_MAX_ITEMS = 20


class EventTail:
    """A handler that keeps the last facts, prompts and replies replaced by their lengths.

    It asks for events that people read, not for those of every step: what nobody else listens to shall go on
    to cost nothing.

    Owner: the runtime; any thread may tell it facts (a deque's append is atomic).
    """

    def __init__(self, *, bus: Bus, n_events: int) -> None:
        """Keep ``n_events`` of them."""
        self._bus = bus
        self._kept: deque[dict[str, object]] = deque(maxlen=n_events)
        self._pressure: dict[str, dict[str, object]] = {}
        self._rungs: dict[str, str] = {}
        self._won: dict[str, dict[str, float]] = {}
        self._numbers = count(1)

    @contextmanager
    def listening(self) -> Generator[None, None, None]:
        """Hear what is told inside the block."""
        handler_id = f"observer-{id(self)}"
        wanted = [event for event in _KNOWN if RANK[event.level] >= RANK["info"]]
        self._bus.attach_many(handler_id, wanted, self._hear, None)
        try:
            yield
        finally:
            self._bus.detach(handler_id)

    def recent(self) -> list[dict[str, object]]:
        """Give them, oldest first, numbered: a gap in the numbers is what a reader has missed."""
        return list(self._kept)

    def pressure(self) -> list[dict[str, object]]:
        """Give, for each domain of memory that was ever short, the fact that it is, or is no more.

        With it the rung that was asked last (``step``), and what each has brought (``won_bytes``).
        """
        return [
            {**fact, "step": self._rungs.get(domain), "won_bytes": self._won.get(domain, {})}
            for domain, fact in self._pressure.items()
        ]

    def _hear(self, event: Event, measurements: Measurements, metadata: Metadata, _config: None) -> None:
        fact: dict[str, object] = {
            "seq": next(self._numbers),
            "time_s": self._bus.system_s(),
            "level": event.level,
            "event": str(event),
            "measurements": plain_measurements(measurements),
            "metadata": {
                key: _short(value) for key, value in plain_metadata(event, metadata, is_open=False).items()
            },
        }
        self._kept.append(fact)
        domain, step = str(metadata.get("domain")), str(metadata.get("step"))
        if event.name[1:] in _PRESSURE:
            self._pressure[domain] = fact
        elif event.name[1:] == _ASKED:
            self._rungs[domain] = step
        elif event.name[1:] == _WON:
            won = self._won.get(domain, {})
            self._won[domain] = {**won, step: won.get(step, 0) + measurements["won_bytes"]}


def _short(value: object) -> object:
    """Bound what one value may take in a line."""
    if isinstance(value, str):
        return f"{value[:_MAX_CHARS]}..." if len(value) > _MAX_CHARS else value
    if isinstance(value, list):
        items = cast("list[object]", value)
        return f"<{len(items)} items>" if len(items) > _MAX_ITEMS else items
    return value
