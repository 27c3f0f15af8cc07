"""Writes facts as log lines: for people on a terminal, as JSON for machines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, TextIO

from actorllama.telemetry.bus import Bus
from actorllama.telemetry.event import Event, EventName, Measurements, Metadata
from actorllama.telemetry.options import TelemetryOptions
from actorllama.telemetry.redaction import plain_measurements, plain_metadata, utc_text

if TYPE_CHECKING:  # imported late, see below
    from structlog.typing import Processor

__all__ = ["attach_structlog"]

_TAKEN = frozenset({"event", "level", "timestamp"})  # keys of the line itself
_encode = json.JSONEncoder().encode
_CLOCKS = frozenset({"monotonic_time_s", "system_time_s"})  # for tracers; a reader has the timestamp


def attach_structlog(
    bus: Bus,
    options: TelemetryOptions | None = None,
    *,
    stream: TextIO | None = None,
    prefix: EventName | Event = (),
    handler_id: str = "structlog",
) -> None:
    """Log the events of a bus through structlog.

    structlog's global configuration is neither read nor changed. The event's dotted name is the line's
    message; measurements and metadata are its fields. Private metadata (a user's or a model's words) is
    replaced by its length, an error's message is left out where it may quote them, and an object without
    words of its own (``__str__``) is told by its type, unless ``options.log_prompts``.

    Args:
        bus: Where to listen.
        options: Form, level and redaction; the defaults where ``None``.
        stream: Where lines go; standard error where ``None``. A stream that fails detaches the handler.
            Lines are written in a thread (`Bus.attach_late`); `Bus.flush` waits for them.
        prefix: Which events; all by default.
        handler_id: The name of the handler on the bus, for `Bus.detach`.

    Raises:
        ValueError: ``handler_id`` is taken.
    """
    chosen = options or TelemetryOptions()
    out = stream or sys.stderr
    is_human = chosen.log_format == "human" or (chosen.log_format == "auto" and out.isatty())
    log = _LogLines(out, _make_renderer(out, is_human=is_human), chosen, is_human=is_human)
    bus.attach_late(handler_id, (prefix,), log, level=chosen.log_level)


def _make_renderer(stream: TextIO, *, is_human: bool) -> Processor:
    # Imported here: structlog costs 0.15 s, and `import actorllama` has 0.25 s in all.
    import structlog

    if is_human:
        return structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)
    return structlog.processors.JSONRenderer(serializer=_to_json)


def _to_json(line: object, **_options: object) -> str:
    """Encode a line, whose values are plain, with an encoder that is made once for all."""
    return _encode(line)


class _LogLines:
    """Write a line for each fact: straight to the renderer, for there is nothing to bind and to filter."""

    def __init__(
        self, stream: TextIO, render: Processor, options: TelemetryOptions, *, is_human: bool
    ) -> None:
        self._stream = stream
        self._render = render
        self._is_open = options.log_prompts
        self._skipped = _CLOCKS if is_human else frozenset[str]()

    def __call__(self, event: Event, measurements: Measurements, metadata: Metadata, at_s: float) -> None:
        line = plain_metadata(event, metadata, is_open=self._is_open)
        if not _TAKEN.isdisjoint(line):
            line = {f"{key}_" if key in _TAKEN else key: value for key, value in line.items()}
        numbers = plain_measurements(measurements)
        for key in self._skipped:
            numbers.pop(key, None)
        line.update(numbers)
        line["event"] = str(event)
        line["level"] = event.level
        line["timestamp"] = utc_text(at_s)
        self._stream.write(str(self._render(None, event.level, line)) + "\n")
        self._stream.flush()
