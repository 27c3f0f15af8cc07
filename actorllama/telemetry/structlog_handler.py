"""Writes facts as log lines: for people on a terminal, as JSON for machines."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence, Sized
from typing import Protocol, TextIO, cast

from attrs import frozen

from actorllama.errors import ActorLlamaError, ChatTemplateError, RequestError
from actorllama.telemetry.bus import Bus
from actorllama.telemetry.event import Event, EventName, Level, Measurements, Metadata
from actorllama.telemetry.options import TelemetryOptions

__all__ = ["attach_structlog"]

_RANK: Mapping[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_TAKEN = frozenset({"event", "level", "timestamp"})  # keys of the line itself
_CLOCKS = frozenset({"monotonic_time_s", "system_time_s"})  # for tracers; a reader has the timestamp
_QUOTES_THE_USER = (RequestError, ChatTemplateError)


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
        least_rank=_RANK[chosen.log_level],
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
        wrapper_class=structlog.make_filtering_bound_logger(_RANK[level]),
    )
    return logger


def _log(event: Event, measurements: Measurements, metadata: Metadata, config: _Config) -> None:
    rank = _RANK[event.level]
    if rank < config.least_rank:
        return
    fields: dict[str, object] = {}
    for key, value in metadata.items():
        is_hidden = key in event.private and not config.is_open
        fields[_free(key)] = _length(value) if is_hidden else _plain(value, is_open=config.is_open)
    skipped = _CLOCKS if config.is_human else frozenset[str]()
    fields |= {key: value for key, value in measurements.items() if key not in skipped}
    config.logger.log(rank, str(event), **fields)


def _free(key: str) -> str:
    return f"{key}_" if key in _TAKEN else key


def _length(value: object) -> str:
    if isinstance(value, str):
        return f"<{len(value)} characters>"
    return f"<{len(value)} items>" if isinstance(value, Sized) else "<hidden>"


def _plain(value: object, *, is_open: bool) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return _tell_error(value, is_open=is_open)
    if isinstance(value, list | tuple):
        return [_plain(item, is_open=is_open) for item in cast("Sequence[object]", value)]
    # A class that has words of its own means them to be read; a generated repr may hold anything.
    has_words = type(value).__str__ is not object.__str__
    return str(value) if is_open or has_words else f"<{type(value).__name__}>"


def _tell_error(error: BaseException, *, is_open: bool) -> str:
    kind = type(error).__name__
    if is_open or (isinstance(error, ActorLlamaError) and not isinstance(error, _QUOTES_THE_USER)):
        return f"{kind}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{kind} at {frames[-1].filename}:{frames[-1].lineno}" if frames else kind
