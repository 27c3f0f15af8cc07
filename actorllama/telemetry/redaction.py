"""What of a fact may leave the process: words of users and models are replaced by their length."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence, Sized
from datetime import UTC, datetime
from typing import cast

from actorllama.errors import ActorLlamaError, ChatTemplateError, RequestError
from actorllama.telemetry.event import Event, Measurements, Metadata

__all__ = ["plain_measurements", "plain_metadata", "tell_error", "utc_text"]

_AS_THEY_ARE = frozenset({str, int, bool, type(None)})  # asked first: nearly all values are
_QUOTES_THE_USER = (RequestError, ChatTemplateError)


def plain_metadata(event: Event, metadata: Metadata, *, is_open: bool) -> dict[str, object]:
    """Give metadata as values that JSON has.

    Private metadata is replaced by its length, an error's message is left out where it may quote a user,
    and an object without words of its own (``__str__``) is told by its type, unless ``is_open``.

    Args:
        event: Says which keys are private.
        metadata: As the event was told.
        is_open: Whether users' and models' words may be told.
    """
    private = () if is_open else event.private
    return {
        key: _length(value)
        if key in private
        else value
        if type(value) in _AS_THEY_ARE
        else _plain(value, is_open=is_open)
        for key, value in metadata.items()
    }


def plain_measurements(measurements: Measurements) -> dict[str, float | str]:
    """Give measurements as values that JSON has: what is not finite, as its word."""
    return {key: value if math.isfinite(value) else str(value) for key, value in measurements.items()}


def utc_text(at_s: float) -> str:
    """Write a time, in seconds since the epoch, as a line tells it."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="microseconds")


def tell_error(error: BaseException, *, is_open: bool) -> str:
    """Give an error's kind with its message, or with its place where the message may quote a user."""
    kind = type(error).__name__
    if is_open or (isinstance(error, ActorLlamaError) and not isinstance(error, _QUOTES_THE_USER)):
        return f"{kind}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{kind} at {frames[-1].filename}:{frames[-1].lineno}" if frames else kind


def _length(value: object) -> str:
    if isinstance(value, str):
        return f"<{len(value)} characters>"
    return f"<{len(value)} items>" if isinstance(value, Sized) else "<hidden>"


def _plain(value: object, *, is_open: bool) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return tell_error(value, is_open=is_open)
    if isinstance(value, list | tuple):
        return [_plain(item, is_open=is_open) for item in cast("Sequence[object]", value)]
    # A class that has words of its own means them to be read; a generated repr may hold anything.
    has_words = type(value).__str__ is not object.__str__
    return str(value) if is_open or has_words else f"<{type(value).__name__}>"
