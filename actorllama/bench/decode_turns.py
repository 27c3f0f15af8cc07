"""The turns that the decode bench takes, all at once, and how fast they decode together."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import trio
from attrs import frozen

from actorllama.bench.decode_report import N_PROMPT, DecodeBenchOptions
from actorllama.bench.harness import CpuMeter
from actorllama.errors import EngineError
from actorllama.runtime import Model

__all__ = ["TakenTurn", "prompt_of", "take_turns", "whole_rate"]


@frozen(kw_only=True)
class TakenTurn:
    """When a turn decoded, in seconds of ``perf_counter``, and how much."""

    began_s: float
    """Its first token was there."""
    ended_s: float
    n_generated: int


async def take_turns(
    options: DecodeBenchOptions, model: Model, index: int, cpu: CpuMeter
) -> Sequence[TakenTurn]:
    """Take all turns of a round side by side.

    Args:
        options: How many, how long, and how they are read.
        model: Who takes them.
        index: Of the round: other rounds have other seeds.
        cpu: Is told what it cost.
    """
    taken: list[TakenTurn] = []

    async def take(number: int) -> None:
        prompt = list(prompt_of(number))
        seed = 1000 * index + number
        n = options.n_tokens + 1
        asked_at_s = perf_counter()
        if not options.is_streamed:
            result = await model.complete(prompt, max_tokens=n, seed=seed)
        else:
            async with model.stream(prompt, max_tokens=n, seed=seed) as turn:
                async for _piece in turn:
                    pass
            result = turn.result
        timings = result.timings
        taken.append(
            TakenTurn(
                began_s=asked_at_s + timings.first_token_s,
                ended_s=asked_at_s + timings.total_s,
                n_generated=result.usage.n_generated,
            )
        )

    with cpu.measuring():
        async with trio.open_nursery() as nursery:
            for number in range(options.n_seq):
                nursery.start_soon(take, number)
    cpu.add(sum(one.n_generated for one in taken))
    return taken


def whole_rate(taken: Sequence[TakenTurn]) -> float:
    """Return tokens per second from the first token of any turn to the last of all: beginnings count, too.

    Raises:
        EngineError: Every turn ended with its first token.
    """
    n_tokens = sum(one.n_generated - 1 for one in taken)
    if n_tokens == 0:
        raise EngineError("every turn ended with its first token: nothing to measure. Take another model.")
    return n_tokens / (max(one.ended_s for one in taken) - min(one.began_s for one in taken))


def prompt_of(number: int) -> range:
    """Return the tokens of a turn's prompt."""
    return range(3 + number % 64, 3 + number % 64 + N_PROMPT)
