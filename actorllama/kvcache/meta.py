"""The META section: facts about an entry, as JSON of exactly one form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

__all__ = ["Fact", "Facts", "float_fact", "int_fact", "read_facts", "text_fact", "write_facts"]

Fact: TypeAlias = str | int | float | bool | None
Facts: TypeAlias = Mapping[str, Fact]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder()


def write_facts(facts: Facts) -> bytes:
    """Write facts; equal facts give equal bytes."""
    return _ENCODER.encode(facts).encode()


def read_facts(data: bytes) -> Facts:
    """Read facts back.

    Raises:
        ValueError: This is not what `write_facts` writes.
        TypeError: It is other JSON than that.
        RecursionError: It is nested beyond reason.
    """
    found: object = _DECODER.raw_decode(data.decode())[0]  # what is behind it is not in the one form
    if not isinstance(found, dict):
        raise TypeError("META is no object")
    facts: dict[str, Fact] = {}
    for name, value in found.items():  # pyright: ignore[reportUnknownVariableType] (JSON has no types)
        if not isinstance(name, str) or not isinstance(value, str | int | float | None):
            raise TypeError("META holds something else than facts")
        facts[name] = value
    if write_facts(facts) != data:
        raise ValueError("META is not in its one form")
    return facts


def text_fact(facts: Facts, name: str) -> str:
    """Return a text.

    Raises:
        TypeError: There is none of this name.
    """
    value = facts.get(name)
    if not isinstance(value, str):
        raise TypeError(f"META has no text {name}")
    return value


def int_fact(facts: Facts, name: str) -> int:
    """Return a whole number.

    Raises:
        TypeError: There is none of this name.
    """
    value = facts.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"META has no whole number {name}")
    return value


def float_fact(facts: Facts, name: str) -> float:
    """Return a number with a fraction.

    Raises:
        TypeError: There is none of this name.
    """
    value = facts.get(name)
    if not isinstance(value, float):
        raise TypeError(f"META has no number {name}")
    return value
