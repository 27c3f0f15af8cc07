"""How fast eight streamed turns are through trio and through asyncio.

``python tests/aio/measure_bridge.py [--rounds N] [--tokens N] [--laps N]``

No test: wall time on a shared machine proves nothing. Only the ratios say something, because the ways
take turns in one process, in an order that alternates.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import trio

import actorllama
from actorllama import aio

N_TURNS = 8
PROMPT = "Once upon a time"


async def through_trio(n_tokens: int, n_laps: int) -> float:
    """Return tokens per second."""

    async def read(model: actorllama.Model, seed: int) -> None:
        async with model.stream(PROMPT, max_tokens=n_tokens, seed=seed, logit_bias=bias) as turn:
            async for _piece in turn:
                pass
        n_generated.append(turn.result.usage.n_generated)

    n_generated: list[int] = []
    async with actorllama.open_runtime() as rt:
        model = await rt.load("demo", n_threads=1, n_seq=N_TURNS)
        bias = dict.fromkeys(model.end_tokens, -100.0)
        await model.complete(PROMPT, max_tokens=4)
        began_s = perf_counter()
        for lap in range(n_laps):
            async with trio.open_nursery() as nursery:
                for seed in range(N_TURNS):
                    nursery.start_soon(read, model, lap * N_TURNS + seed)
        return sum(n_generated) / (perf_counter() - began_s)


async def through_aio(n_tokens: int, n_laps: int, *, is_guest: bool) -> float:
    """Return tokens per second."""

    async def read(model: aio.AsyncModel, seed: int) -> None:
        async with model.stream(PROMPT, max_tokens=n_tokens, seed=seed, logit_bias=bias) as turn:
            async for _piece in turn:
                pass
        n_generated.append(turn.result.usage.n_generated)

    n_generated: list[int] = []
    async with aio.open_runtime(mode="guest" if is_guest else "thread") as rt:
        model = await rt.load("demo", n_threads=1, n_seq=N_TURNS)
        bias = dict.fromkeys(model.end_tokens, -100.0)
        await model.complete(PROMPT, max_tokens=4)
        began_s = perf_counter()
        for lap in range(n_laps):
            async with asyncio.TaskGroup() as group:
                for seed in range(N_TURNS):
                    group.create_task(read(model, lap * N_TURNS + seed))
        return sum(n_generated) / (perf_counter() - began_s)


def main() -> None:
    """Take the ways in turn, and say the ratios of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--laps", type=int, default=2)
    options = parser.parse_args()
    n_tokens: int = options.tokens
    n_laps: int = options.laps
    ways: dict[str, Callable[[], float]] = {
        "trio": lambda: trio.run(through_trio, n_tokens, n_laps),
        "thread": lambda: asyncio.run(through_aio(n_tokens, n_laps, is_guest=False)),
        "guest": lambda: asyncio.run(through_aio(n_tokens, n_laps, is_guest=True)),
    }
    ratios: dict[str, list[float]] = {"thread": [], "guest": []}
    for index in range(options.rounds):
        names = list(ways) if index % 2 == 0 else list(reversed(ways))
        speeds = {name: ways[name]() for name in names}
        for name, found in ratios.items():
            found.append(speeds[name] / speeds["trio"])
        line = ", ".join(f"{name} {speeds[name]:.0f}" for name in ways)
        sys.stdout.write(f"round {index + 1}, tokens/s: {line}\n")
        sys.stdout.flush()
    for name, found in ratios.items():
        sys.stdout.write(f"aio, {name}: median of {len(found)} ratios to trio {median(found):.3f}\n")


if __name__ == "__main__":
    main()
