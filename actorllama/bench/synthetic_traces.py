"""Traces made by rule, so that no choice is fitted to one recording."""

from __future__ import annotations

from typing import Final

import numpy as np

from actorllama.bench.block_trace import BlockTrace, TracedRequest
from actorllama.errors import RequestError

__all__ = ["SYNTHETIC", "synthetic_trace"]

SYNTHETIC: Final = ("conversations", "scans", "shifting", "loop")
"""``conversations``: prompts that share Zipf-distributed beginnings and grow with each turn. ``scans``: the
same, in turns with prompts that come once. ``shifting``: which beginnings are popular changes. ``loop``: the
same hundred prompts round and round."""

_SEED: Final = 20_250_101
_N_LIVE: Final = 60
_N_SYSTEMS: Final = 200
_N_LOOPED: Final = 100
_LOOPED_BLOCKS: Final = 10


def synthetic_trace(kind: str, *, n_requests: int, block_tokens: int) -> BlockTrace:
    """Make a trace; the same each time.

    Raises:
        RequestError: There is no such kind, or fewer than one request.
    """
    if kind not in SYNTHETIC:
        raise RequestError(field="synthetic", value=kind, reason=f"must be one of {', '.join(SYNTHETIC)}")
    if n_requests < 1:
        raise RequestError(field="n_requests", value=n_requests, reason="must be at least 1")
    world = _World(kind)
    prompts = [world.loop(at) if kind == "loop" else world.turn(at) for at in range(n_requests)]
    requests = tuple(TracedRequest(n_tokens=len(one) * block_tokens, blocks=one) for one in prompts)
    return BlockTrace(label=kind, block_tokens=block_tokens, requests=requests, parents=tuple(world.parents))


class _World:
    def __init__(self, kind: str) -> None:
        self.parents: list[int | None] = []
        self._kind = kind
        self._random = np.random.default_rng(_SEED)
        self._live: list[list[int]] = []
        self._systems: dict[int, list[int]] = {}
        weights = 1 / np.arange(1, _N_SYSTEMS + 1)
        self._shares = np.cumsum(weights / weights.sum())

    def loop(self, at: int) -> tuple[int, ...]:
        return tuple(self._system(at % _N_LOOPED, _LOOPED_BLOCKS))

    def turn(self, at: int) -> tuple[int, ...]:
        is_scan = self._kind == "scans" and at // 250 % 2 == 1 and self._random.random() < 0.7
        if is_scan:
            return tuple(self._grown([], 5, 40))
        if self._live and self._random.random() < 0.75:
            index = int(self._random.integers(len(self._live)))
            prompt = self._grown(self._live.pop(index), 1, 4)
            is_over = self._random.random() < 0.15
        else:
            prompt = self._grown(self._system(self._popular(at), None), 1, 6)
            is_over = False
        if not is_over:
            self._live.append(prompt)
            del self._live[: len(self._live) - _N_LIVE]
        return tuple(prompt)

    def _popular(self, at: int) -> int:
        rank = min(int(np.searchsorted(self._shares, self._random.random())), _N_SYSTEMS - 1)
        return (rank + at // 500 * 37) % _N_SYSTEMS if self._kind == "shifting" else rank

    def _system(self, index: int, n_blocks: int | None) -> list[int]:
        if index not in self._systems:
            self._systems[index] = self._grown([], n_blocks or 2, n_blocks or 8)
        return self._systems[index]

    def _grown(self, prompt: list[int], least: int, most: int) -> list[int]:
        grown = list(prompt)
        for _ in range(int(self._random.integers(least, most + 1))):
            block = len(self.parents)
            self.parents.append(grown[-1] if grown else None)
            grown.append(block)
        return grown
