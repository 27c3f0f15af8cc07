"""DRY: punish the token that would go on repeating what the text said before."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from actorllama.native.sampler_shifts import Ids, Row

__all__ = ["MAX_BREAKER_TAIL", "Breakers", "DryShift"]

Breakers = Mapping[int, tuple[tuple[int, ...], ...]]
"""Sequence breakers by first token: the tokens that must follow it; ``()`` where it is enough alone."""

MAX_BREAKER_TAIL = 20
_FLOAT_MAX_LOG = 88.7228391
_FLOAT_MAX = 3.4e38


class DryShift:
    """Lower each token that would lengthen a repetition, by ``multiplier * base ** (length - allowed)``.

    Gives the numbers of llama.cpp's ``dry`` (src/llama-sampler.cpp, after pi6am's koboldcpp pull
    request 982), which runs the Z-algorithm over the window at every token. Here the runs are carried
    along instead: where the new token stood before, the run that ended one place earlier grows by one.

    Cost: proportional to how often the last token stands in the window, not to the window.
    """

    def __init__(
        self,
        *,
        multiplier: float,
        base: float,
        allowed_length: int,
        last_n: int,
        breakers: Breakers,
        history: Iterable[int],
    ) -> None:
        """``last_n`` tokens are looked at, -1 is all of them."""
        self._multiplier = float(np.float32(multiplier))
        self._base = float(np.float32(base))
        self._allowed = allowed_length
        self._window = max(last_n, 0)
        self._breakers = breakers
        self._max_exponent = int(_FLOAT_MAX_LOG / math.log(self._base)) if self._base > 1.000001 else 0
        self._tokens: list[int] = []
        self._first = 0  # place of _tokens[0] in the whole text
        self._places: dict[int, deque[int]] = {}
        self._runs: dict[int, int] = {}
        self._repeats: dict[int, int] = {}
        for token in history:
            self._append(token)

    def remember(self, token: int) -> None:
        """Let the runs grow by this token."""
        self._append(token)

    def touched(self) -> Ids:
        """Return the tokens that would go on with a repetition."""
        self._repeats = self._find_repeats()
        return np.fromiter(self._repeats, dtype=np.int64, count=len(self._repeats))

    def shift(self, row: Row, ids: Ids) -> None:
        """Lower their logits."""
        if self._repeats:
            penalties = [self._penalty(length) for length in self._repeats.values()]
            row[ids] -= np.array(penalties, dtype=np.float32)

    def _append(self, token: int) -> None:
        place = self._first + len(self._tokens)
        known = self._places.setdefault(token, deque())
        runs = self._runs
        self._runs = {at: runs.get(at - 1, 0) + 1 for at in known}
        known.append(place)
        self._tokens.append(token)
        if self._window and len(self._tokens) > self._window:
            self._forget_oldest(place - self._window)

    def _forget_oldest(self, place: int) -> None:
        token = self._tokens[place - self._first]
        places = self._places[token]
        places.popleft()
        if not places:
            del self._places[token]
        self._runs.pop(place, None)
        if place - self._first >= self._window:  # in large pieces: each costs a copy of the rest
            del self._tokens[: place + 1 - self._first]
            self._first = place + 1

    def _find_repeats(self) -> dict[int, int]:
        """Return the longest repetition that each token would go on with."""
        end = self._first + len(self._tokens)
        start = max(end - self._window, 0) if self._window else 0
        runs = {at: min(run, at - start + 1) for at, run in self._runs.items()}
        longest = max(runs.values(), default=0)
        if end - start <= self._allowed or longest < self._allowed:
            return {}
        limit = self._limit(start, end, longest)
        if limit < self._allowed:
            return {}
        found: dict[int, int] = {}
        if self._allowed == 0:
            found = dict.fromkeys(self._tokens[start + 1 - self._first :], 0)
        for at, run in runs.items():
            length = min(run, limit)
            token = self._tokens[at + 1 - self._first]
            if length >= max(self._allowed, found.get(token, 0)):
                found[token] = length
        return {token: length for token, length in found.items() if () not in self._breakers.get(token, ())}

    def _limit(self, start: int, end: int, longest: int) -> int:
        """Return how far back a repetition may reach before a sequence breaker stops it."""
        tokens, last = self._tokens, end - 1 - self._first
        for back in range(min(end - start, longest + MAX_BREAKER_TAIL + 1)):
            tails = self._breakers.get(tokens[last - back])
            if tails is not None:
                fitting = [
                    len(tail)
                    for tail in tails
                    if len(tail) <= back
                    and tail == tuple(tokens[last - back + 1 : last - back + 1 + len(tail)])
                ]
                if fitting:
                    return back - max(fitting)
        return end - start

    def _penalty(self, length: int) -> float:
        exponent = length - self._allowed
        if self._max_exponent > 0:
            exponent = min(exponent, self._max_exponent)
        return min(self._multiplier * self._base**exponent, _FLOAT_MAX)
