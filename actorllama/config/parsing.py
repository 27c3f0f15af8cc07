"""From a text or a plain value to the type of an option; nothing is guessed."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Union, cast, get_args, get_origin

__all__ = ["check_value", "name_of", "parse_text"]

_PLAIN: Mapping[object, str] = {bool: "boolean", int: "integer", float: "number", str: "text", Path: "path"}
_TRUE = frozenset({"1", "on", "true", "yes"})
_FALSE = frozenset({"0", "false", "no", "off"})


def parse_text(text: str, kind: object) -> object:
    """Read the text of an environment variable or an argument as a type.

    Args:
        text: The text. ``none`` and the empty text are ``None`` where the type allows it; the items of
            a tuple are separated by commas.
        kind: The resolved annotation: ``bool``, ``int``, ``float``, ``str``, ``Path``, a ``Literal``
            of strings, ``tuple[X, ...]``, or one of these with ``| None``.

    Raises:
        ValueError: The text does not say such a value.
        TypeError: An option class uses a type that has no text form; a bug there.
    """
    inner, is_optional = _strip_none(kind)
    if is_optional and text.strip().lower() in ("", "none"):
        return None
    if get_origin(inner) is tuple:
        item_kind = get_args(inner)[0]
        return tuple(parse_text(item.strip(), item_kind) for item in text.split(",") if item.strip())
    if inner is bool:
        return _parse_bool(text)
    if inner is int or inner is float:
        return _parse_number(text, int if inner is int else float)
    return check_value(text, inner)


def check_value(value: object, kind: object) -> object:
    """Hold a typed value (from TOML, or from Python) to a type.

    An integer is welcome where a float stands, a list where a tuple stands, a text where a path stands.

    Args:
        value: The value.
        kind: The resolved annotation, as for `parse_text`.

    Raises:
        ValueError: The value is not of this type.
        TypeError: An option class uses a type that is not supported; a bug there.
    """
    inner, is_optional = _strip_none(kind)
    if value is None and is_optional:
        return None
    if get_origin(inner) is Literal:
        choices = get_args(inner)
        if value not in choices:
            raise ValueError(f"Use one of {', '.join(map(str, choices))}.")
        return value
    if get_origin(inner) is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError("Use a list.")
        items = cast("list[object]", value)
        return tuple(check_value(item, get_args(inner)[0]) for item in items)
    return _check_plain(value, inner)


def name_of(kind: object) -> str:
    """Name a type as a reader of ``config/default.toml`` knows it."""
    inner, _ = _strip_none(kind)
    if get_origin(inner) is tuple:
        return f"list of {name_of(get_args(inner)[0])}"
    return _PLAIN.get(inner, "text")


def _strip_none(kind: object) -> tuple[object, bool]:
    if get_origin(kind) not in (Union, types.UnionType):
        return kind, False
    members = [member for member in get_args(kind) if member is not type(None)]
    if len(members) != 1:
        raise TypeError(f"an option is of one type, or of one type and None, not {kind}")
    return members[0], True


def _check_plain(value: object, kind: object) -> object:
    if kind not in _PLAIN:
        raise TypeError(f"options of type {kind} are not supported")
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if type(value) is not kind:
        raise ValueError(f"Use a value of type {name_of(kind)}.")
    return value


def _parse_bool(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("Use true or false.")
    return word in _TRUE


def _parse_number(text: str, kind: type[int | float]) -> float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"Use a value of type {name_of(kind)}.") from None  # Python's words name no option
