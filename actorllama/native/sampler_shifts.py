"""Stages that change the logits of a few tokens: bias and penalties."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

__all__ = ["BiasShift", "Ids", "PenaltyShift", "Row", "Shift"]

Row = np.ndarray[tuple[int], np.dtype[np.float32]]
"""Logits, one per token id."""
Ids = np.ndarray[tuple[int], np.dtype[np.int64]]
"""Token ids."""


class Shift(Protocol):
    """Change the logits of the tokens that it names, and remember what was accepted."""

    def remember(self, token: int) -> None:
        """Take note that this token is part of the text."""
        ...

    def touched(self) -> Ids:
        """Return the ids whose logits ``shift`` will change, each once."""
        ...

    def shift(self, row: Row, ids: Ids) -> None:
        """Change ``row`` at ``ids``, which ``touched`` returned since the last ``remember``."""
        ...


class BiasShift:
    """Add a constant to some logits. Source: ``logit_bias`` in llama.cpp's src/llama-sampler.cpp."""

    def __init__(self, bias: Mapping[int, float]) -> None:
        """Take the constants; ``-inf`` forbids a token."""
        self._ids: Ids = np.fromiter(bias, dtype=np.int64, count=len(bias))
        self._values: Row = np.fromiter(bias.values(), dtype=np.float32, count=len(bias))

    def remember(self, token: int) -> None:
        """Do nothing: a bias has no memory."""

    def touched(self) -> Ids:
        """Return the biased ids."""
        return self._ids

    def shift(self, row: Row, ids: Ids) -> None:
        """Add the constants."""
        row[ids] += self._values


class PenaltyShift:
    """Repetition, frequency and presence penalties over the last tokens.

    In float32 step by step, as ``penalties`` of llama.cpp's src/llama-sampler.cpp; a compiler that
    fuses multiply and add there may differ in the last bit.
    """

    def __init__(
        self, *, repeat: float, frequency: float, presence: float, last_n: int, history: Iterable[int]
    ) -> None:
        """``last_n`` tokens count, -1 is all of them; ``history`` is what came before the turn."""
        self._repeat = np.float32(repeat)
        self._frequency = np.float32(frequency)
        self._presence = np.float32(presence)
        self._window = max(last_n, 0)
        self._recent: deque[int] = deque(history, maxlen=self._window or None)
        self._counts: Counter[int] = Counter(self._recent)

    def remember(self, token: int) -> None:
        """Let the oldest token fall out of the window, and this one in."""
        if self._window and len(self._recent) == self._window:
            oldest = self._recent[0]
            left = self._counts[oldest] - 1
            if left:
                self._counts[oldest] = left
            else:
                del self._counts[oldest]
        self._recent.append(token)
        self._counts[token] += 1

    def touched(self) -> Ids:
        """Return the ids of the recent tokens."""
        return np.fromiter(self._counts, dtype=np.int64, count=len(self._counts))

    def shift(self, row: Row, ids: Ids) -> None:
        """Penalise the recent tokens; a negative logit is multiplied where a positive one is divided."""
        counts = np.fromiter(self._counts.values(), dtype=np.float32, count=len(self._counts))
        logits = row[ids]
        scaled = np.where(logits <= 0, logits * self._repeat, logits / self._repeat)
        row[ids] = scaled - (counts * self._frequency + self._presence)
