"""Keeps facts in memory, for tests and for short looks inside a running system."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from attrs import frozen

from actorllama.telemetry.bus import Bus
from actorllama.telemetry.event import Event, EventName, Measurements, Metadata, is_match

__all__ = ["MemoryHandler", "Recorded", "record"]


@frozen(kw_only=True)
class Recorded:
    """One fact as it was told."""

    event: Event
    measurements: dict[str, float]
    metadata: dict[str, object]


class MemoryHandler:
    """A handler that keeps every fact, in order.

    Owner: whoever made it; any thread may tell it facts (a list's append is atomic).
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.facts: list[Recorded] = []

    def __call__(
        self, event: Event, measurements: Measurements, metadata: Metadata, _config: object = None
    ) -> None:
        """Keep a copy of the fact."""
        self.facts.append(
            Recorded(event=event, measurements=dict(measurements), metadata=dict(metadata)),
        )

    def of(self, prefix: EventName | Event) -> list[Recorded]:
        """Select the facts of one event, or of all whose name begins with a prefix."""
        return [fact for fact in self.facts if is_match(fact.event.name, prefix)]

    def names(self) -> list[str]:
        """List the dotted names, in order."""
        return [str(fact.event) for fact in self.facts]


@contextmanager
def record(bus: Bus, prefix: EventName | Event = ()) -> Generator[MemoryHandler, None, None]:
    """Keep the facts told inside the block.

    Example::

        with record(bus, ("engine",)) as heard:
            ...
        assert heard.names() == ["engine.turn.start", "engine.turn.stop"]
    """
    memory = MemoryHandler()
    handler_id = f"record-{id(memory)}"
    bus.attach(handler_id, prefix, memory, None)
    try:
        yield memory
    finally:
        bus.detach(handler_id)
