"""A conversation as the bytes of a file: versioned, checksummed JSON that people can read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final, cast

from actorllama.cli.console.settings import checked
from actorllama.cli.console.talk import Exchange, Setting, Speaker, Talk
from actorllama.errors import RequestError

__all__ = ["MAX_BYTES", "NAME", "bytes_of", "check_name", "head_of", "talk_from"]

MAX_BYTES: Final = 1 << 26
"""Of a file, at most."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a conversation can be called."""
_FORMAT: Final = "actorllama conversation"
_VERSION: Final = 1


def check_name(name: str) -> str:
    """Return a name that can be a file's.

    Raises:
        RequestError: It cannot.
    """
    if not NAME.fullmatch(name):
        raise RequestError(field="name", value=name, reason="1 to 64 letters, digits, '.', '_' or '-'")
    return name


def bytes_of(talk: Talk) -> bytes:
    """Write a conversation down."""
    body: dict[str, object] = {
        "model": {
            "name": talk.speaker.name,
            "path": talk.speaker.path,
            "options": dict(talk.speaker.options),
        },
        "system": talk.system,
        "settings": dict(talk.settings),
        "turns": [
            {
                "user": one.user,
                "reply": one.reply,
                "seed": one.seed,
                "resume_key": one.resume_key,
                "is_cut": one.is_cut,
            }
            for one in talk.exchanges
        ],
        "pending": talk.pending,
    }
    whole = {"format": _FORMAT, "version": _VERSION, "sha256": _digest(body), "conversation": body}
    return json.dumps(whole, indent=1, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def head_of(data: bytes) -> str:
    """Name the state of a conversation that these bytes hold."""
    return hashlib.sha256(data).hexdigest()


def _digest(body: Mapping[str, object]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def talk_from(data: bytes, name: str) -> Talk:
    """Read a conversation of this name; nothing in the bytes is trusted.

    Raises:
        ValueError: They are no conversation, of another version, or damaged.
        KeyError: Something is missing.
        TypeError: Something is not what it has to be.
        RecursionError: They are nested too deeply.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    whole = _object(json.loads(data), "the file")
    if whole.get("format") != _FORMAT:
        raise ValueError("it is no conversation")
    if whole.get("version") != _VERSION:
        raise ValueError(f"its version is {whole.get('version')!r}, and {_VERSION} is read here")
    body = _object(whole["conversation"], "conversation")
    if whole.get("sha256") != _digest(body):
        raise ValueError("its checksum is wrong: it was damaged, or changed by hand")
    model = _object(body["model"], "model")
    turns = body["turns"]
    if not isinstance(turns, list):
        raise TypeError("turns is no list")
    return Talk(
        name=name,
        speaker=Speaker(
            name=check_name(_text(model["name"])),
            path=_text(model["path"]),
            options=_object(model["options"], "options"),
        ),
        system=_text(body["system"]),
        settings=checked(_settings(_object(body["settings"], "settings"))),
        exchanges=tuple(_exchange(_object(turn, "a turn")) for turn in cast("list[object]", turns)),
        pending=None if body["pending"] is None else _text(body["pending"]),
        is_saved=True,
        head=head_of(data),
    )


def _exchange(turn: Mapping[str, object]) -> Exchange:
    seed, key, is_cut = turn["seed"], turn["resume_key"], turn["is_cut"]
    if isinstance(seed, bool) or not isinstance(seed, int) or not isinstance(is_cut, bool):
        raise TypeError("a turn's seed is no integer, or is_cut no truth value")
    return Exchange(
        user=_text(turn["user"]),
        reply=_text(turn["reply"]),
        seed=seed,
        resume_key=None if key is None else _text(key),
        is_cut=is_cut,
    )


def _settings(given: Mapping[str, object]) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"setting {name} is no number")
        found[name] = value
    return found


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{what} is no JSON object")
    return cast("dict[str, object]", value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
