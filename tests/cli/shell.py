"""How the tests of this room run a command, and a model that says what they like."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

from actorllama.demo import model_path

__all__ = ["TIMEOUT_S", "Done", "Invoke", "Spawn", "Start", "command_line", "demo_with_template"]

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


class Start(Protocol):
    """Starts a command in a process of its own; it is killed at the end of the test if it still runs."""

    def __call__(self, *argv: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]: ...


def command_line(*argv: str) -> list[str]:
    """Write the command that a shell would run."""
    return [sys.executable, "-m", "actorllama", *argv]


def demo_with_template(template: str) -> bytes:
    """Give the embedded model with another chat template, which may not be longer than its own."""
    model = model_path().read_bytes()
    at = model.index(b"{% for message in messages %}")
    (n_bytes,) = struct.unpack_from("<Q", model, at - 8)
    padded = template.ljust(n_bytes).encode()
    assert len(padded) == n_bytes
    return model[:at] + padded + model[at + n_bytes :]
