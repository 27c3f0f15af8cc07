"""How the tests of this room run a command, and a model that says what they like."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from attrs import frozen

from actorllama.demo import model_path
from actorllama.native.gguf import read_gguf

__all__ = [
    "TIMEOUT_S",
    "Done",
    "Endless",
    "Invoke",
    "Spawn",
    "Start",
    "command_line",
    "demo_with_template",
    "write_endless_model",
]

TIMEOUT_S = 180
CONTROL = 3  # llama.cpp's type of a token that has no text


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


@frozen(kw_only=True)
class Endless:
    """A model whose replies never end, whatever it is told, and how they begin at temperature 0."""

    path: str
    begins: str

    @property
    def options(self) -> tuple[str, ...]:
        """Give it room."""
        return ("--temperature", "0", "--max-tokens", "100000", "--ctx", "100000", "--n-seq", "2")


def demo_with_template(template: str) -> bytes:
    """Give the embedded model with another chat template, shorter than its own."""
    model = model_path().read_bytes()
    at = model.index(b"{% for message in messages %}")
    (n_bytes,) = struct.unpack_from("<Q", model, at - 8)
    padded = f"{template}{{#{' ' * (n_bytes - len(template) - 4)}#}}".encode()
    assert len(padded) == n_bytes
    return model[:at] + padded + model[at + n_bytes :]


def write_endless_model(path: Path) -> None:
    """Take from the embedded model what makes its replies end: the weights of its control tokens.

    Their logits are 0 then, and some other token always has more.
    """
    path.write_bytes(demo_with_template("{{ 'Hello' }}"))
    file = read_gguf(path)
    weights = file.tensors.get("output.weight") or file.tensors["token_embd.weight"]
    row_bytes = weights.n_bytes // weights.shape[1]
    kinds = file.metadata["tokenizer.ggml.token_type"]
    assert isinstance(kinds, tuple)
    control = [token for token, kind in enumerate(kinds) if kind == CONTROL]
    assert control
    with path.open("r+b") as stream:
        for token in control:
            stream.seek(weights.offset + token * row_bytes)
            stream.write(bytes(row_bytes))
