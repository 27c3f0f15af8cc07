"""The turns that the decode bench takes, all at once, and how fast they decode together."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import trio
from attrs import frozen

from actorllama.bench.decode_report import N_PROMPT, DecodeBenchOptions
from actorllama.bench.harness import CpuMeter
from actorllama.engine import StepPart
from actorllama.errors import EngineError
from actorllama.runtime import Model

__all__ = ["StepClock", "TakenTurn", "prompt_of", "steady_rate", "take_turns", "whole_rate"]

_N_LEFT_OUT = 1  # step at either end: one of them may hold a prompt's last rows or lack a turn
_N_LEAST = 2


class StepClock:
    """A probe that notes when ``llama_decode`` is called.

    Owner: the host's thread while it takes steps; ``take`` while it takes none.

    Cost: below a microsecond a step.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._called_at_s: list[float] = []

    def __call__(self, part: StepPart) -> None:
        """Note the time if ``llama_decode`` is next."""
        if part == "decode":
            self._called_at_s.append(perf_counter())

    def take(self) -> Sequence[float]:
        """Return the calls since the last time, in seconds of ``perf_counter``."""
        found, self._called_at_s = self._called_at_s, []
        return found


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


def steady_rate(taken: Sequence[TakenTurn], called_at_s: Sequence[float]) -> float | None:
    """Return tokens per second while all turns decode: after the last first token, before the first end.

    The bare loop has all its sequences from its first step to its last, so that is what it is held against.
    Steps in which some turns still begin, and those after some have ended, are in neither.

    Args:
        taken: All turns of a round.
        called_at_s: When each step of it was begun.

    Returns:
        ``None`` if they were never all there for more than three steps.
    """
    first_s, last_s = max(one.began_s for one in taken), min(one.ended_s for one in taken)
    steps = [at_s for at_s in called_at_s if first_s <= at_s <= last_s][_N_LEFT_OUT:-_N_LEFT_OUT]
    if len(steps) < _N_LEAST:
        return None
    return len(taken) * (len(steps) - 1) / (steps[-1] - steps[0])


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
