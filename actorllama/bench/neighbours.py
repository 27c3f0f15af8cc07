"""Turns that decode in the other sequences while something is measured."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from time import perf_counter

import trio

from actorllama.bench.warm_options import prompt_tokens
from actorllama.runtime import Model

__all__ = ["Neighbours", "neighbours_of"]

_N_PROMPT = 8


class Neighbours:
    """Turns that decode without end, and the times at which their text came.

    Owner: the task that opened it.
    """

    def __init__(self, n_turns: int) -> None:
        """Begin with ``n_turns`` turns that have said nothing."""
        self._times: list[list[float]] = [[] for _ in range(n_turns)]
        self._has_news = trio.Event()
        self.have_ended = False
        """Whether one has come to the end of its sequence: it is no neighbour any more."""

    @property
    def n_tokens(self) -> int:
        """Texts that have come from the slowest of them."""
        return min((len(times) for times in self._times), default=0)

    def note(self, number: int) -> None:
        """Take note of a text."""
        self._times[number].append(perf_counter())
        self._has_news.set()

    def end(self) -> None:
        """Take note that one has come to its end."""
        self.have_ended = True
        self._has_news.set()

    async def wait_tokens(self, n_tokens: int) -> None:
        """Wait until each of them has said so much since it began, or one has ended."""
        while self._times and self.n_tokens < n_tokens and not self.have_ended:
            self._has_news = trio.Event()
            await self._has_news.wait()

    def gaps_s(self, began_s: float, ended_s: float) -> list[float]:
        """List the times between two texts of a turn that a span of time touches."""
        return [
            later - sooner
            for times in self._times
            for sooner, later in pairwise(times)
            if later > began_s and sooner < ended_s
        ]


@asynccontextmanager
async def neighbours_of(model: Model, n_turns: int, *, max_tokens: int) -> AsyncGenerator[Neighbours, None]:
    """Have turns decode in as many sequences; they have begun when this yields and are gone after it."""
    neighbours = Neighbours(n_turns)
    bias = dict.fromkeys(model.end_tokens, -math.inf)

    async def talk(number: int, prompt: Sequence[int]) -> None:
        async with model.stream(list(prompt), max_tokens=max_tokens, logit_bias=bias, seed=number) as turn:
            async for _piece in turn:
                neighbours.note(number)
        neighbours.end()

    async with trio.open_nursery() as nursery:
        for number in range(n_turns):
            nursery.start_soon(talk, number, prompt_tokens(_N_PROMPT, f"neighbour {number}"))
        await neighbours.wait_tokens(2)
        yield neighbours
        nursery.cancel_scope.cancel()
