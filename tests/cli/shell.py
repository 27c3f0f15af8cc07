"""How the tests of this room run a command."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

__all__ = ["TIMEOUT_S", "Done", "Invoke", "Spawn", "command_line"]

TIMEOUT_S = 60


@frozen(kw_only=True)
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str


class Invoke(Protocol):
    """Runs a command in this process."""

    def __call__(self, *argv: str, stdin: bytes = b"") -> Done: ...


class Spawn(Protocol):
    """Runs a command in a process of its own, without a terminal."""

    def __call__(self, *argv: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Done: ...


def command_line(*argv: str) -> list[str]:
    """Write the command that a shell would run."""
    return [sys.executable, "-m", "actorllama", *argv]
