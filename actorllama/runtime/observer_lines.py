"""What those who watch a runtime are told, as lines of JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from attrs import asdict

import actorllama
from actorllama.engine import ModelGauges
from actorllama.kvcache import StoreStatistics

__all__ = ["PROTOCOL", "cache_part", "hello_line", "models_part", "snapshot_line"]

PROTOCOL = 1
"""Raised when a reader of an older one would misread a line; new keys do not raise it."""


def hello_line(*, models: Sequence[ModelGauges], interval_s: float, started_at_s: float) -> bytes:
    """Say who speaks: the first line of every connection."""
    return _line(
        {
            "kind": "hello",
            "protocol": PROTOCOL,
            "version": actorllama.__version__,
            "pid": os.getpid(),
            "started_at_s": started_at_s,
            "interval_s": interval_s,
            "models": [shown.model for shown in models],
        }
    )


def snapshot_line(
    *,
    seq: int,
    time_s: float,
    models: Sequence[ModelGauges],
    cache: dict[str, object] | None,
    pressure: Sequence[dict[str, object]],
    events: Sequence[dict[str, object]],
) -> bytes:
    """Say how things stand.

    Args:
        seq: Number of the snapshot; a reader that is slow misses some.
        time_s: Seconds since the epoch.
        models: Every model's gauges.
        cache: What the tiers hold; ``None`` while that is not known.
        pressure: For each domain that was ever short of memory, the fact that it is, or is no more.
        events: Recent facts, oldest first.
    """
    return _line(
        {
            "kind": "snapshot",
            "seq": seq,
            "time_s": time_s,
            "models": models_part(models),
            "cache": cache,
            "pressure": list(pressure) or None,
            "events": list(events),
        }
    )


def models_part(models: Sequence[ModelGauges]) -> list[dict[str, object]]:
    """Give gauges as plain values."""
    parts: list[dict[str, object]] = [asdict(shown) for shown in models]
    for part in parts:
        del part["updated_at_s"]  # by a clock that other processes do not have
    return parts


def cache_part(statistics: StoreStatistics, *, age_s: float) -> dict[str, object]:
    """Give what the tiers hold as plain values, and how old that is."""
    return {"age_s": age_s, **asdict(statistics)}


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
