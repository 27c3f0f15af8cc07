"""The turns that the decode bench takes, all at once."""

from __future__ import annotations

import trio

from actorllama.bench.decode_report import N_PROMPT, DecodeBenchOptions
from actorllama.bench.harness import CpuMeter
from actorllama.engine import TurnResult
from actorllama.errors import EngineError
from actorllama.runtime import Model

__all__ = ["prompt_of", "turns_rate"]


async def turns_rate(options: DecodeBenchOptions, model: Model, index: int, cpu: CpuMeter) -> float:
    """Take all turns of a round side by side; tokens per second, from the first token of any to the last.

    Args:
        options: How many, how long, and how they are read.
        model: Who takes them.
        index: Of the round: other rounds have other seeds.
        cpu: Is told what it cost.

    Raises:
        EngineError: Every turn ended with its first token.
    """
    results: list[TurnResult] = []

    async def take(number: int) -> None:
        prompt = list(prompt_of(number))
        seed = 1000 * index + number
        n = options.n_tokens + 1
        if not options.is_streamed:
            results.append(await model.complete(prompt, max_tokens=n, seed=seed))
            return
        async with model.stream(prompt, max_tokens=n, seed=seed) as turn:
            async for _piece in turn:
                pass
        results.append(turn.result)

    with cpu.measuring():
        async with trio.open_nursery() as nursery:
            for number in range(options.n_seq):
                nursery.start_soon(take, number)
    cpu.add(sum(result.usage.n_generated for result in results))
    first_s = min(result.timings.first_token_s for result in results)
    last_s = max(result.timings.total_s for result in results)
    n_tokens = sum(result.usage.n_generated - 1 for result in results)
    if n_tokens == 0:
        raise EngineError("every turn ended with its first token: nothing to measure. Take another model.")
    return n_tokens / (last_s - first_s)


def prompt_of(number: int) -> range:
    """Return the tokens of a turn's prompt."""
    return range(3 + number % 64, 3 + number % 64 + N_PROMPT)
