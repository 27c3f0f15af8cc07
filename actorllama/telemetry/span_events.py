"""A span is declared once and gives three events: start, stop, exception."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from actorllama.telemetry.event import Event, EventName, Level

__all__ = ["SpanEvents", "declare_span"]


@frozen(kw_only=True)
class SpanEvents:
    """The three events of one span; made by `declare_span`.

    Subscribe to all three by the prefix ``name``.
    """

    name: EventName
    start: Event
    stop: Event
    exception: Event

    def __iter__(self) -> Iterator[Event]:
        """Give the three events, for a room's list of what it declares."""
        return iter((self.start, self.stop, self.exception))


def declare_span(
    name: EventName,
    *,
    doc: str,
    measurements: tuple[str, ...] = (),
    metadata: tuple[str, ...] = (),
    result: tuple[str, ...] = (),
    private: tuple[str, ...] = (),
    level: Level = "info",
) -> SpanEvents:
    """Declare a span.

    Args:
        name: ``(room, thing)``.
        doc: What the span spans, as a noun phrase: "a turn, from admission to its result".
        measurements: Numbers known at the end, beside ``duration_s`` and ``monotonic_time_s``.
        metadata: Identities known from the start; every event of the span carries them.
        result: Metadata known at the end.
        private: The metadata and result keys that may hold a user's words.
        level: Loudness of the stop event. A start is ``debug``, an exception ``warning``.
    """
    closing = ("duration_s", "monotonic_time_s", *measurements)
    identity = (*metadata, "span_id")
    return SpanEvents(
        name=name,
        start=Event(
            name=(*name, "start"),
            measurements=("monotonic_time_s", "system_time_s"),
            metadata=identity,
            private=tuple(key for key in private if key in metadata),
            level="debug",
            doc=f"Begins: {doc}.",
        ),
        stop=Event(
            name=(*name, "stop"),
            measurements=closing,
            metadata=(*identity, *result),
            private=private,
            level=level,
            doc=f"Ended well: {doc}.",
        ),
        exception=Event(
            name=(*name, "exception"),
            measurements=closing,
            metadata=(*identity, *result, "kind", "error"),
            private=private,
            level="warning",
            doc=f"Ended by an exception (`kind` error, cancelled or exit): {doc}.",
        ),
    )
