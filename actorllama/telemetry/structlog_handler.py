"""Writes facts as log lines: for people on a terminal, as JSON for machines."""

from __future__ import annotations

import sys
from typing import Protocol, TextIO

from attrs import frozen

from actorllama.telemetry.bus import Bus
from actorllama.telemetry.event import RANK, Event, EventName, Level, Measurements, Metadata
from actorllama.telemetry.options import TelemetryOptions
from actorllama.telemetry.redaction import plain_measurements, plain_metadata

__all__ = ["attach_structlog"]

_TAKEN = frozenset({"event", "level", "timestamp"})  # keys of the line itself
_CLOCKS = frozenset({"monotonic_time_s", "system_time_s"})  # for tracers; a reader has the timestamp


class _Logger(Protocol):
    def log(self, level: int, event: str, **values: object) -> object: ...


@frozen(kw_only=True)
class _Config:
    logger: _Logger
    least_rank: int
    is_human: bool
    is_open: bool


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
        prefix: Which events; all by default.
        handler_id: The name of the handler on the bus, for `Bus.detach`.

    Raises:
        ValueError: ``handler_id`` is taken.
    """
    chosen = options or TelemetryOptions()
    out = stream or sys.stderr
    is_human = chosen.log_format == "human" or (chosen.log_format == "auto" and out.isatty())
    config = _Config(
        logger=_make_logger(out, chosen.log_level, is_human=is_human),
        is_human=is_human,
        least_rank=RANK[chosen.log_level],
        is_open=chosen.log_prompts,
    )
    bus.attach(handler_id, prefix, _log, config)


def _make_logger(stream: TextIO, level: Level, *, is_human: bool) -> _Logger:
    # Imported here: structlog costs 0.15 s, and `import actorllama` has 0.25 s in all.
    import structlog

    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)
        if is_human
        else structlog.processors.JSONRenderer()
    )
    logger: _Logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(RANK[level]),
    )
    return logger


def _log(event: Event, measurements: Measurements, metadata: Metadata, config: _Config) -> None:
    rank = RANK[event.level]
    if rank < config.least_rank:
        return
    told = plain_metadata(event, metadata, is_open=config.is_open)
    fields = {f"{key}_" if key in _TAKEN else key: value for key, value in told.items()}
    skipped = _CLOCKS if config.is_human else frozenset[str]()
    numbers = plain_measurements(measurements)
    fields |= {key: value for key, value in numbers.items() if key not in skipped}
    config.logger.log(rank, str(event), **fields)
