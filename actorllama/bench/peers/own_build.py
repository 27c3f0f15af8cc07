"""What llama.cpp says of itself where contestants load it: ``python -m actorllama.bench.peers.own_build``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import cast

import trio
from attrs import asdict

from actorllama.native import BuildInfo

__all__ = ["build_of"]


async def build_of(environment: Mapping[str, str]) -> BuildInfo | None:
    """Ask a process of its own; ``None`` if llama.cpp cannot be loaded so."""
    command = [sys.executable, "-m", "actorllama.bench.peers.own_build"]
    done = await trio.run_process(
        command, capture_stdout=True, capture_stderr=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode != 0:
        return None
    said = cast("dict[str, object]", json.loads(done.stdout.splitlines()[-1]))
    return BuildInfo(
        library=str(said["library"]),
        version=str(said["version"]),
        has_openmp=said["has_openmp"] is True,
        devices=tuple(str(device) for device in cast("list[object]", said["devices"])),
        system_info=str(said["system_info"]),
        max_seq=cast("int", said["max_seq"]),
    )


def _tell() -> None:
    from actorllama.native.llama import LlamaBackend

    print(json.dumps(asdict(LlamaBackend().build_info())))


if __name__ == "__main__":
    _tell()
