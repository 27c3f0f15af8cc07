"""A turn of a process that has just started: ``python -m actorllama.bench.warm_restart``."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import cast

import trio

from actorllama.bench.warm_options import WarmBenchOptions
from actorllama.bench.warm_report import WarmCase, WarmShot
from actorllama.bench.warm_session import WarmSession, state_path
from actorllama.errors import EngineError

__all__ = ["restart_case"]


async def restart_case(options: WarmBenchOptions, root: Path, n_tokens: int, n_neighbours: int) -> WarmCase:
    """Start a process for each turn, which finds what this one has left on disk."""
    shots: list[WarmShot] = []
    for number in range(options.n_rounds):
        counts = {
            "n_ctx_train": options.n_ctx_train,
            "n_suffix": options.n_suffix,
            "n_neighbours": options.n_neighbours,
            "n_threads": options.n_threads,
            "block_tokens": options.block_tokens,
        }
        place = {"root": str(root), "n_tokens": n_tokens, "n_neighbours": n_neighbours, "number": number}
        model = {"model": str(options.model), "lengths": options.prefixes, "counts": counts}
        command = [sys.executable, "-m", "actorllama.bench.warm_restart", json.dumps({**model, **place})]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            error = f"the process ended with {done.returncode}: {last}"
            return WarmCase(n_tokens=n_tokens, source="restart", neighbours=n_neighbours, error=error)
        answer = json.loads(done.stdout)
        if "error" in answer:
            return WarmCase(
                n_tokens=n_tokens, source="restart", neighbours=n_neighbours, error=str(answer["error"])
            )
        shots.append(
            WarmShot(
                first_token_s=answer["first_token_s"],
                bare_s=answer["bare_s"],
                n_cached=answer["n_cached"],
                parts_s=tuple(answer["parts_s"]),
            )
        )
    return WarmCase(n_tokens=n_tokens, source="restart", neighbours=n_neighbours, shots=tuple(shots))


async def _take(order: dict[str, object]) -> dict[str, object]:
    given = cast("dict[str, int]", order["counts"])
    options = WarmBenchOptions(
        model=Path(str(order["model"])),
        label="",
        lengths=tuple(cast("list[int]", order["lengths"])),
        sources=("restart",),
        **given,
    )
    root, n_tokens = Path(str(order["root"])), int(str(order["n_tokens"]))
    state = memoryview(bytearray(state_path(root, n_tokens).read_bytes()))
    async with WarmSession.open(options, root) as session:
        shoot = partial(session.saved, n_tokens, int(str(order["n_neighbours"])))
        try:
            shot = await shoot(int(str(order["number"])), source="restart", state=state)
        except EngineError as exc:
            return {"error": str(exc)}
    return {
        "first_token_s": shot.first_token_s,
        "bare_s": shot.bare_s,
        "n_cached": shot.n_cached,
        "parts_s": shot.parts_s,
    }


if __name__ == "__main__":
    print(json.dumps(trio.run(_take, json.loads(sys.argv[1]))))
