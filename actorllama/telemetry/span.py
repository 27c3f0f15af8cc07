"""A running span: the context manager that `Bus.span` returns."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias, cast

from actorllama.telemetry.event import Event, Measurements, Metadata
from actorllama.telemetry.span_events import SpanEvents

__all__ = ["Kind", "Span", "kind_of"]

Kind: TypeAlias = Literal["error", "cancelled", "exit"]


class _Carrier(Protocol):
    """What a span needs of its bus; said here, so that the two modules need not import each other."""

    def monotonic_s(self) -> float: ...
    def system_s(self) -> float: ...
    def is_listening(self, event: Event) -> bool: ...
    def execute(self, event: Event, measurements: Measurements, metadata: Metadata) -> None: ...


class Span:
    """Executes ``start`` on entry, and exactly one of ``stop`` and ``exception`` on exit.

    A plain context manager: it never waits, so it closes inside a cancelled scope too, and it may be
    held open across awaits. Exceptions pass through it unchanged.

    Owner: the task or thread that opened it.
    """

    __slots__ = ("_began_s", "_bus", "_events", "_measurements", "_metadata", "span_id")

    def __init__(self, bus: _Carrier, events: SpanEvents, metadata: Metadata, span_id: int) -> None:
        """Prepare the span; `Bus.span` does this."""
        self.span_id = span_id
        self._bus = bus
        self._events = events
        self._metadata: dict[str, object] = {**metadata, "span_id": span_id}
        self._measurements: dict[str, float] = {}
        self._began_s = 0.0

    def measure(self, **measurements: float) -> None:
        """Add numbers to the closing event; a key given again replaces what it had."""
        self._measurements.update(measurements)

    def note(self, **metadata: object) -> None:
        """Add identities or results to the closing event."""
        self._metadata.update(metadata)

    def __enter__(self) -> Self:
        """Execute ``start``."""
        bus = self._bus
        self._began_s = bus.monotonic_s()
        if bus.is_listening(self._events.start):
            times = {"monotonic_time_s": self._began_s, "system_time_s": bus.system_s()}
            bus.execute(self._events.start, times, dict(self._metadata))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Execute ``stop``, or ``exception`` with its kind, and let the exception go on."""
        event = self._events.stop if error is None else self._events.exception
        if not self._bus.is_listening(event):
            return
        now_s = self._bus.monotonic_s()
        measurements = {
            "duration_s": now_s - self._began_s,
            "monotonic_time_s": now_s,
            **self._measurements,
        }
        metadata = (
            self._metadata if error is None else {**self._metadata, "kind": kind_of(error), "error": error}
        )
        self._bus.execute(event, measurements, metadata)


def kind_of(error: BaseException) -> Kind:
    """Tell how a span ended: by an error, by a cancellation, or because the process is asked to leave.

    A group is an ``exit`` if anything in it is, else an ``error`` if anything in it is, else ``cancelled``.
    Cancellation is recognised without importing an event loop: it is what trio and asyncio raise beside
    ``Exception`` (``GeneratorExit``, an abandoned generator, counts as one).
    """
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        kinds = {kind_of(each) for each in group.exceptions}
        return "exit" if "exit" in kinds else "error" if "error" in kinds else "cancelled"
    if isinstance(error, Exception):
        return "error"
    return "exit" if isinstance(error, KeyboardInterrupt | SystemExit) else "cancelled"
