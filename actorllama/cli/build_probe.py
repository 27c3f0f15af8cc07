"""Loads llama.cpp in a process of its own and tells what it is; a build that dies takes only that process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Final, cast

from attrs import asdict, frozen

from actorllama.native import BuildInfo

__all__ = ["BuildReport", "probe_build"]

_TIMEOUT_S: Final = 60.0


@frozen(kw_only=True)
class BuildReport:
    """What llama.cpp said, or why it said nothing. Exactly one of the two is given."""

    build: BuildInfo | None
    reason: str | None


def probe_build() -> BuildReport:
    """Start an interpreter that imports llama_cpp, and wait for its answer."""
    command = [sys.executable, "-m", "actorllama.cli.build_probe"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return BuildReport(build=None, reason=str(error))
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return BuildReport(build=None, reason=f"loading it ends the process with {name}")
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        return BuildReport(build=None, reason=words[-1] if words else f"it exited with {done.returncode}")
    return BuildReport(build=_read(done.stdout), reason=None)


def _read(answer: bytes) -> BuildInfo:
    said = cast("dict[str, object]", json.loads(answer.splitlines()[-1]))
    devices, max_seq = said["devices"], said["max_seq"]
    assert isinstance(devices, list)
    assert isinstance(max_seq, int)
    return BuildInfo(
        library=str(said["library"]),
        version=str(said["version"]),
        has_openmp=said["has_openmp"] is True,
        devices=tuple(str(device) for device in cast("list[object]", devices)),
        system_info=str(said["system_info"]),
        max_seq=max_seq,
    )


def _tell() -> None:
    from actorllama.native.llama import LlamaBackend

    sys.stdout.write(json.dumps(asdict(LlamaBackend().build_info())) + "\n")


if __name__ == "__main__":
    _tell()
