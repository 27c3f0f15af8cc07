"""Try a model file in a process of its own, before llama.cpp may see it in ours.

:func:`actorllama.native.gguf_check.check_loadable` refuses what rules can exclude; for an architecture
whose every assertion was not gone through (``needs_probe``), or a file from an unknown hand, this finds out
the rest: the child loads the file, makes a context, and tokenises, and if llama.cpp aborts, the child is
what dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Literal, cast

from attrs import frozen

from actorllama.errors import ModelLoadError
from actorllama.native.families import FUZZED
from actorllama.native.gguf import GgufFile
from actorllama.native.gguf_types import TENSOR_TYPES

__all__ = ["CHILD", "ProbeOptions", "ProbeResult", "needs_probe", "probe_model"]

CHILD: Final = Path(__file__).parent / "llama" / "probe_child.py"
"""The program that the child runs; by its path, so that it need not import actorllama first."""

ProbeOutcome = Literal["ok", "refused", "aborted", "timed_out", "not_tried"]

_REASONS: Final = {
    "not_loaded": "llama.cpp does not load it",
    "no_context": "llama.cpp cannot make a context for it",
    "not_decoded": "llama.cpp cannot decode with it",
}
_TYPE_NUMBERS: Final = {kind.name: number for number, kind in TENSOR_TYPES.items()}
_TELLING: Final = re.compile(r"ASSERT|what\(\)|abort|terminate|fatal|rror", re.IGNORECASE)


@frozen(kw_only=True)
class ProbeOptions:
    """How the context will be made. Weights are neither read nor given memory unless ``is_decoding``.

    ``is_decoding`` reads the weights and decodes a few tokens: for small models, or for doubt.
    """

    n_ctx: int = 512
    n_seq: int = 1
    n_batch: int = 512
    type_k: str = "F16"
    type_v: str = "F16"
    is_flash_attention: bool = False
    is_unified: bool = False
    is_decoding: bool = False

    def request(self, path: str) -> str:
        """Write the line that the child reads."""
        return json.dumps(
            {
                "path": path,
                "with_weights": self.is_decoding,
                "n_ctx": self.n_ctx,
                "n_seq": self.n_seq,
                "n_batch": self.n_batch,
                "type_k": _TYPE_NUMBERS[self.type_k],
                "type_v": _TYPE_NUMBERS[self.type_v],
                "flash_attention": int(self.is_flash_attention),
                "is_unified": self.is_unified,
            }
        )


@frozen(kw_only=True)
class ProbeResult:
    """How a try went. ``reason`` is empty for ``ok``."""

    path: str
    outcome: ProbeOutcome
    reason: str
    wall_s: float

    def error(self) -> ModelLoadError | None:
        """Make the error that a caller raises; ``None`` if the file may be loaded, or could not be tried."""
        if self.outcome in ("ok", "not_tried"):
            return None
        advice = "Download or convert the model again, or load another one."
        return ModelLoadError(path=self.path, reason=self.reason, hint=advice)


def needs_probe(file: GgufFile) -> bool:
    """Say whether rules alone are not known to keep llama.cpp alive with this file's architecture."""
    return file.metadata.get("general.architecture") not in FUZZED


def probe_model(
    path: str | os.PathLike[str], options: ProbeOptions | None = None, *, timeout_s: float = 120.0
) -> ProbeResult:
    """Try a file in a child process and wait for how it ends.

    Blocks; a caller with an event loop calls it in a worker thread.

    Args:
        path: The model file.
        options: How the context will be made.
        timeout_s: When to end a child that hangs; a busy machine is no reason to refuse a good file.

    Returns:
        ``ok``; ``refused`` with llama.cpp's own last error; ``aborted`` with the assertion; ``timed_out``; or
        ``not_tried`` where no child process can be started.

    Cost: 0.2 s for a small model, 0.6 s for a vocabulary of 150,000 tokens.
    """
    name = os.fspath(path)
    request = (options or ProbeOptions()).request(name)
    started_s = time.monotonic()

    def result(outcome: ProbeOutcome, reason: str) -> ProbeResult:
        return ProbeResult(path=name, outcome=outcome, reason=reason, wall_s=time.monotonic() - started_s)

    try:
        done = subprocess.run(
            [sys.executable, "-P", str(CHILD)],
            input=request + "\n",
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            env=child_environment(),
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return result("timed_out", f"llama.cpp was not done with it after {timeout_s} s")
    except OSError as error:
        return result("not_tried", f"no process could be started: {error}")
    if done.returncode:
        return result("aborted", f"llama.cpp aborted: {_last_words(done.stderr, done.returncode)}")
    answer = _answer(done.stdout)
    if answer["outcome"] == "ok":
        return result("ok", "")
    reason = _REASONS.get(answer["outcome"], "llama.cpp refuses it")
    return result("refused", f"{reason}: {answer['detail']}" if answer["detail"] else reason)


def child_environment() -> dict[str, str]:
    """Give the child this process's import path, and no debugger at its death bed."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "GGML_NO_BACKTRACE": "1",  # otherwise an assertion starts gdb
        "OMP_NUM_THREADS": "1",
    }


def _answer(line: str) -> dict[str, str]:
    """Read the child's line; what is no answer counts as a refusal."""
    fields: dict[str, object] = {}
    with contextlib.suppress(ValueError):
        parsed: object = json.loads(line)
        if isinstance(parsed, dict):
            fields = cast("dict[str, object]", parsed)
    return {key: str(fields.get(key, "")) for key in ("outcome", "detail")}


def _last_words(stderr: str, code: int) -> str:
    """Find the line in which a dying process says why."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)]
    if telling:
        return telling[-1].rpartition("/")[2]  # the path before the file's name is that of the build machine
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return lines[-1] if lines else f"exit code {code}"
