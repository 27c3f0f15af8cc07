"""Conversations on disk: one versioned, checksummed JSON file for each, written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from actorllama.cli.console.settings import checked
from actorllama.cli.console.talk import Exchange, Setting, Speaker, Talk
from actorllama.errors import RequestError

__all__ = ["Store", "check_name", "default_state_dir"]

_FORMAT: Final = "actorllama conversation"
_VERSION: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_BYTES: Final = 1 << 26
_SUFFIX: Final = ".json"


def default_state_dir() -> Path:
    """Give the directory where XDG wants what a program remembers."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if home else Path.home() / ".local" / "state") / "actorllama"


def check_name(name: str) -> str:
    """Return a name that can be a file's.

    Raises:
        RequestError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(field="name", value=name, reason="1 to 64 letters, digits, '.', '_' or '-'")
    return name


class Store:
    """The conversations below one state directory; several processes may share it.

    Owner: the console. Methods block: call them on a thread.
    """

    def __init__(self, state_dir: Path) -> None:
        """Look below this directory; nothing is made yet."""
        self.directory = state_dir / "conversations"

    def names(self) -> tuple[str, ...]:
        """List what is there, the latest first."""
        with contextlib.suppress(OSError):
            found = [(path.stat().st_mtime_ns, path.stem) for path in self.directory.glob(f"*{_SUFFIX}")]
            return tuple(name for _, name in sorted(found, reverse=True) if _NAME.fullmatch(name))
        return ()

    def write(self, talk: Talk) -> None:
        """Write a conversation in the place of the one of its name.

        Raises:
            OSError: The directory cannot be written.
        """
        self._write(talk, is_new=False)

    def write_new(self, talk: Talk) -> bool:
        """Write a conversation unless there is one of its name; tell whether it was written.

        Raises:
            OSError: The directory cannot be written.
        """
        return self._write(talk, is_new=True)

    def read(self, name: str) -> Talk:
        """Read a conversation; nothing in the file is trusted.

        Raises:
            RequestError: There is none, or it cannot be used.
        """
        path = self._path(name)
        try:
            with path.open("rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
        except FileNotFoundError as error:
            known = ", ".join(self.names()[:8]) or "none"
            raise RequestError(
                field="name", value=name, reason=f"not saved here (there are: {known})"
            ) from error
        try:
            return _talk_from(data, name)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"{path} cannot be used: {error}"
            raise RequestError(field="name", value=name, reason=reason) from error

    def delete(self, name: str) -> None:
        """Forget a conversation's file.

        Raises:
            RequestError: There is none.
        """
        try:
            self._path(name).unlink()
        except FileNotFoundError as error:
            raise RequestError(field="name", value=name, reason="no conversation is saved as that") from error

    def _path(self, name: str) -> Path:
        return self.directory / f"{check_name(name)}{_SUFFIX}"

    def _write(self, talk: Talk, *, is_new: bool) -> bool:
        path = self._path(talk.name)
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.directory)  # mode 0600
        try:
            with os.fdopen(number, "wb") as stream:
                stream.write(_bytes_of(talk))
                stream.flush()
                os.fsync(stream.fileno())
            if is_new:
                os.link(temporary, path)
            else:
                Path(temporary).replace(path)
        except FileExistsError:
            return False
        finally:
            Path(temporary).unlink(missing_ok=True)
        _sync_directory(self.directory)
        return True


def _sync_directory(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _bytes_of(talk: Talk) -> bytes:
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


def _digest(body: Mapping[str, object]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _talk_from(data: bytes, name: str) -> Talk:
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
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
