"""What the ``cache`` commands share: where the saved turns are, and which of them a user means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from actorllama.errors import RequestError
from actorllama.kvcache import KnownFile, Survey

__all__ = ["STATE_DIR", "bytes_in", "count_of", "find_entries", "open_survey", "short_key", "snapshots_of"]


def _path(_context: click.Context, _parameter: click.Parameter, text: str) -> Path:
    if not text:
        raise RequestError(field="--state-dir", value=text, reason="is empty: give a directory")
    return Path(text)  # click's own type would ask the system, which an impossible path does not survive


STATE_DIR: Final = click.Option(
    ["--state-dir"],
    required=True,
    callback=_path,
    metavar="DIR",
    help="What open_runtime(state_dir=...) was given.",
)

_SNAPSHOTS: Final = "snapshots"
_KEY_BEGINS: Final = re.compile(r"[0-9a-f]{1,32}")
_SHORT: Final = 10
_N_TOLD: Final = 4


def snapshots_of(state_dir: Path, *, may_be_missing: bool = False) -> Path:
    """Give the folder of the saved states in a state directory.

    Args:
        state_dir: As the user wrote it.
        may_be_missing: Whether it is made later.

    Raises:
        RequestError: It is none.
    """
    field, value = "--state-dir", str(state_dir)
    if "\0" in value:
        raise RequestError(field=field, value=value, reason="this is no possible path")
    if (state_dir / ".lock").exists() and not (state_dir / _SNAPSHOTS).exists():
        reason = f"this is the folder of the states themselves: give the one above, {state_dir.parent}"
        raise RequestError(field=field, value=value, reason=reason)
    if state_dir.is_dir() or (may_be_missing and not state_dir.exists()):
        return state_dir / _SNAPSHOTS
    reason = "it is no directory" if state_dir.exists() else "there is no such directory"
    raise RequestError(field=field, value=value, reason=f"{reason}: give the state_dir of a runtime")


def open_survey(state_dir: Path) -> Survey:
    """Look at the saved states of a state directory; nothing is changed.

    Raises:
        RequestError: It is none.
        CacheError: It cannot be read.
    """
    return Survey(snapshots_of(state_dir))


def find_entries(survey: Survey, begins: Sequence[str]) -> tuple[KnownFile, ...]:
    """Find the entries whose keys begin so, each once, in the order of the words.

    Raises:
        RequestError: A word is no beginning of a key, or of none that is there, or of several.
    """
    found: dict[str, KnownFile] = {}
    files = [one for one, _ in survey.entries()]
    for word in begins:
        if _KEY_BEGINS.fullmatch(word) is None:
            reason = "is no key: give up to 32 of the digits 0-9 and a-f, as `actorllama cache ls` shows them"
            raise RequestError(field="KEY", value=word, reason=reason)
        matches = [one for one in files if one.key.startswith(word)]
        if not matches:
            reason = "no entry has a key that begins so: `actorllama cache ls --limit 0` lists them all"
            raise RequestError(field="KEY", value=word, reason=reason)
        if len(matches) > 1:
            told = ", ".join(short_key(one.key, at_least=len(word) + 1) for one in matches[:_N_TOLD])
            more = "" if len(matches) <= _N_TOLD else ", ..."
            reason = f"{len(matches)} keys begin so: {told}{more}. Give more digits."
            raise RequestError(field="KEY", value=word, reason=reason)
        found[matches[0].path] = matches[0]
    return tuple(found.values())


def short_key(key: str, *, at_least: int = 0) -> str:
    """Write the beginning of a key, which is enough to find it again."""
    return key[: max(_SHORT, at_least)]


def count_of(n: int, what: str) -> str:
    """Write a number and what it is of."""
    if n == 1:
        return f"1 {what}"
    return f"{n} {what[:-1]}ies" if what.endswith("y") and what[-2] not in "aeiou" else f"{n} {what}s"


def bytes_in(files: Iterable[KnownFile]) -> int:
    """Add the sizes of files up."""
    return sum(one.n_bytes for one in files)
