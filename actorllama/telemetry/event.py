"""Events are declared values: a name, what is measured, who it is about, and why it matters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import attrs
from attrs import frozen

__all__ = ["RANK", "Event", "EventName", "Level", "Measurements", "Metadata", "describe_events", "is_match"]

EventName: TypeAlias = tuple[str, ...]
Measurements: TypeAlias = Mapping[str, float]
Metadata: TypeAlias = Mapping[str, object]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]

RANK: Mapping[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""How loud each level is; the numbers are those of the standard logging module."""

_SEGMENT = re.compile(r"[a-z][a-z0-9_]*")
_UNIT = re.compile(r"n_\w+|\w+_(s|ms|us|ns|bytes|tokens|ratio)")
_N_SEGMENTS_MIN = 3
_USER_WORDS = frozenset({"completion", "content", "messages", "piece", "prompt", "text"})


def _check_name(_event: Event, _attribute: attrs.Attribute[EventName], value: EventName) -> None:
    if len(value) < _N_SEGMENTS_MIN or not all(_SEGMENT.fullmatch(segment) for segment in value):
        raise ValueError(f"an event is named (room, thing, verb) in snake_case, not {value!r}")


def _check_units(_event: Event, _attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for key in value:
        if not _UNIT.fullmatch(key):
            raise ValueError(f"measurement {key!r} does not carry its unit: n_x, x_s, x_bytes, x_ratio, ...")


@frozen(kw_only=True)
class Event:
    """One kind of fact, declared once in its room's ``events.py``.

    Attributes:
        name: ``(room, thing, verb)``, for instance ``("engine", "turn", "stop")``.
        measurements: Keys of the numbers it carries; the unit is in each key (``duration_s``, ``n_tokens``).
        metadata: Keys of the identities it carries (``model``, ``turn_id``).
        private: The metadata keys that may hold a user's words. Handlers that leave the process leave
            these out unless asked for.
        level: How loud a log line of it is.
        doc: One sentence: when it happens.
    """

    name: EventName = attrs.field(validator=_check_name)
    measurements: tuple[str, ...] = attrs.field(default=(), validator=_check_units)
    metadata: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    level: Level = "info"
    doc: str

    def __attrs_post_init__(self) -> None:
        """Refuse a declaration that contradicts itself."""
        keys = self.measurements + self.metadata
        if len(set(keys)) != len(keys):
            raise ValueError(f"{self}: a key is declared twice: {keys}")
        if not set(self.private) <= set(self.metadata):
            raise ValueError(f"{self}: private keys {self.private} must be metadata keys")
        exposed = _USER_WORDS & set(self.metadata) - set(self.private)
        if exposed:
            raise ValueError(f"{self}: {sorted(exposed)} hold a user's words; declare them private")

    def __str__(self) -> str:
        """Give the dotted name."""
        return ".".join(self.name)


def is_match(name: EventName, prefix: EventName | Event) -> bool:
    """Tell whether a name begins with a prefix, or is exactly that of an event."""
    return name == prefix.name if isinstance(prefix, Event) else name[: len(prefix)] == prefix


def describe_events(events: Iterable[Event]) -> str:
    """Write the reference of these events as one Markdown table, sorted by name.

    Raises:
        ValueError: Two different declarations share a name.
    """
    by_name: dict[EventName, Event] = {}
    for event in events:
        if by_name.setdefault(event.name, event) != event:
            raise ValueError(f"{event} is declared twice, differently")
    lines = ["| event | measurements | metadata | when |", "|---|---|---|---|"]
    for event in sorted(by_name.values(), key=lambda known: known.name):
        measurements = ", ".join(f"`{key}`" for key in event.measurements)
        metadata = ", ".join(f"`{key}`" + " (private)" * (key in event.private) for key in event.metadata)
        meaning = event.doc.replace("|", "\\|")
        lines.append(f"| `{event}` | {measurements} | {metadata} | {meaning} |")
    return "\n".join(lines) + "\n"
