"""Where commands keep what outlives them, and where a runtime of theirs can be watched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from actorllama.cli.parameters import checked_text
from actorllama.errors import RequestError

__all__ = ["WATCHED", "default_state_dir", "given_state_dir", "usable_state_dir"]

WATCHED: Final = click.Option(
    ["--state-dir"],
    default=None,
    metavar="DIR",
    help="`actorllama top --state-dir DIR` watches the command meanwhile, and its next start is quicker.",
)
"""Parameter ``state_dir`` of commands that keep no turns."""


def default_state_dir() -> Path:
    """Give the directory where XDG wants what a program remembers."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if home else Path.home() / ".local" / "state") / "actorllama"


def given_state_dir(text: str | None) -> Path | None:
    """Check what the user gave; nothing is ``None``.

    Raises:
        RequestError: It can be no directory's name.
    """
    if text is None:
        return None
    if not text or "\0" in text:
        raise RequestError(field="--state-dir", value=text, reason="is no directory's name")
    return Path(checked_text(text, field="--state-dir"))


def usable_state_dir() -> Path | None:
    """Give the default one, made if need be; ``None`` where this user cannot write there."""
    folder = default_state_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None
