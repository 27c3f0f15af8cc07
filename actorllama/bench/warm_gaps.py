"""How long neighbours wait between two tokens while another turn is restored or saved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter

from actorllama.bench.neighbours import Neighbours
from actorllama.bench.warm_options import WarmBenchOptions, prompt_tokens
from actorllama.bench.warm_report import NeighbourGaps
from actorllama.bench.warm_session import WarmSession, prefix_name

__all__ = ["measure_gaps"]

_N_ALONE = 64  # tokens of each neighbour that are enough for a base
_N_APART = 8  # tokens between the last piece of the prompt and the copy, so that no wait is for both

_Span = tuple[float, float]


async def measure_gaps(session: WarmSession, options: WarmBenchOptions, n_tokens: int) -> NeighbourGaps:
    """Measure the four spans, one after the other, ``n_rounds`` times.

    Args:
        session: The prefix of ``n_tokens`` is in its RAM.
        options: At least one neighbour.
        n_tokens: Length of the prefix.
    """

    async def alone(neighbours: Neighbours) -> _Span:
        began_s = perf_counter()
        await neighbours.wait_tokens(neighbours.n_tokens + _N_ALONE)
        return began_s, perf_counter()

    async def live(_neighbours: Neighbours) -> _Span:
        await session.turn(session.prompt(n_tokens, prefix_name(n_tokens)))
        prompt = session.prompt(n_tokens, prefix_name(n_tokens))
        began_s = perf_counter()
        await session.turn(prompt)
        return began_s, perf_counter()

    async def restored(_neighbours: Neighbours) -> _Span:
        await session.flush(1)
        prompt = session.prompt(n_tokens, prefix_name(n_tokens))
        began_s = perf_counter()
        await session.turn(prompt)
        return began_s, perf_counter()

    async def saved(_neighbours: Neighbours) -> _Span:
        await session.flush(1)
        name = f"saved at {perf_counter()}"
        result = await session.turn(prompt_tokens(n_tokens, name), max_tokens=_N_APART, keep=True)
        began_s = perf_counter() - result.timings.save_s
        await session.settle()
        return began_s, perf_counter()

    async def gaps(span: Callable[[Neighbours], Awaitable[_Span]]) -> list[float]:
        async with session.neighbours(options.n_neighbours) as neighbours:
            began_s, ended_s = await span(neighbours)
            await neighbours.wait_tokens(neighbours.n_tokens + 2)  # the gap that the span ends in, too
            return neighbours.gaps_s(began_s, ended_s)

    found: list[list[float]] = [[], [], [], []]
    for _ in range(options.n_rounds):
        for into, span in zip(found, (alone, live, restored, saved), strict=True):
            into += await gaps(span)
    alone_s, live_s, restored_s, saved_s = (tuple(times) for times in found)
    return NeighbourGaps(
        n_tokens=n_tokens, alone_s=alone_s, live_s=live_s, restored_s=restored_s, saved_s=saved_s
    )
