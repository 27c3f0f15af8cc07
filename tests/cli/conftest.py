"""Commands in this process and in processes of their own, with the embedded model."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from actorllama.cli import main
from actorllama.demo import model_path
from tests.cli.shell import (
    TIMEOUT_S,
    Done,
    Endless,
    Invoke,
    Spawn,
    Start,
    command_line,
    write_endless_model,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable or conversation of the developer's own, and one thread: others may use the other core."""
    for name in list(os.environ):
        if name.startswith("ACTORLLAMA_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ACTORLLAMA_CONTEXT_N_THREADS", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def invoke(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run commands in this process."""

    def run(*argv: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsysbinary.readouterr()
        code = main(list(argv))
        captured = capsysbinary.readouterr()
        return Done(code=code, out=captured.out.decode(), err=captured.err.decode())

    return run


@pytest.fixture
def spawn() -> Spawn:
    """Run commands in processes of their own."""

    def run(*argv: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Done:
        done = subprocess.run(
            command_line(*argv),
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            env={**os.environ, **(env or {})},
        )
        return Done(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    return run


@pytest.fixture
def start() -> Generator[Start, None, None]:
    """Start commands and look after them."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*argv: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command_line(*argv), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


@pytest.fixture
def demo() -> Path:
    """Give the embedded model."""
    return model_path()


@pytest.fixture
def endless(tmp_path: Path, invoke: Invoke) -> Endless:
    """Make a model that only a limit or a signal stops."""
    path = tmp_path / "endless.gguf"
    write_endless_model(path)
    done = invoke("run", str(path), "--temperature", "0", "--max-tokens", "8", "Hello")
    assert done.code == 0, done.err
    return Endless(path=str(path), begins=done.out.strip()[:3])
