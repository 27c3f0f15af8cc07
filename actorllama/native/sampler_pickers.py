"""The last stage: one token out of what the filters left. Plain, mirostat or adaptive-p."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

__all__ = ["AdaptivePicker", "Logits", "Mirostat1Picker", "Mirostat2Picker", "Picker", "draw"]

Logits = np.ndarray[tuple[int], np.dtype[np.float64]]
"""Logits of the candidates, finite, in float64."""

_N_BEST = 100  # mirostat 1 looks at this many; llama.cpp's common/sampling.cpp passes the same
_WIDTH, _PEAK, _SHARPNESS = 0.3, 5.0, 10.0


class Picker(Protocol):
    """Draw a candidate with one number, and learn from it once it is accepted."""

    @property
    def state(self) -> tuple[float, ...]:
        """Everything that it has learned; ``load`` takes it back."""
        ...

    def load(self, state: tuple[float, ...]) -> None:
        """Go on from a saved state."""
        ...

    def pick(self, logits: Logits, u: float) -> tuple[int, float]:
        """Return the index of the drawn candidate, and what ``learn`` wants to hear of it."""
        ...

    def learn(self, observed: float) -> None:
        """Take the drawn candidate into the state; not called for one that a grammar rejected."""
        ...


def draw(logits: Logits, u: float) -> int:
    """Return the index that ``u`` in ``[0, 1)`` selects: inverse of the cumulative distribution."""
    cumulative = np.exp(logits - logits.max()).cumsum()
    index = int(cumulative.searchsorted(u * cumulative[-1], side="right"))
    return min(index, len(logits) - 1)


class Mirostat2Picker:
    """Cut off what is more surprising than mu, draw, and steer mu to a surprise of tau bits.

    Source: ``mirostat_v2`` in llama.cpp's src/llama-sampler.cpp; Basu et al., arXiv 2007.14966. There
    in float32, here in float64.
    """

    def __init__(self, *, tau: float, eta: float) -> None:
        """Begin with mu at twice the target."""
        self._tau = tau
        self._eta = eta
        self._mu = 2.0 * tau

    @property
    def state(self) -> tuple[float, ...]:
        """Return mu, in bits."""
        return (self._mu,)

    def load(self, state: tuple[float, ...]) -> None:
        """Go on from a saved mu."""
        (self._mu,) = state

    def pick(self, logits: Logits, u: float) -> tuple[int, float]:
        """Draw; the second value is the surprise in bits."""
        kept = self.kept(logits)
        return _pick(logits, kept, u)

    def kept(self, logits: Logits) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Return the candidates that mu admits, most probable first; at least one."""
        bound = _log_sum(logits) - self._mu * math.log(2.0)
        admitted = (logits >= bound).nonzero()[0]
        if not len(admitted):
            admitted = np.array([int(logits.argmax())])
        return admitted[np.argsort(-logits[admitted], kind="stable")]

    def learn(self, observed: float) -> None:
        """Move mu against the difference between the surprise and its target."""
        self._mu -= self._eta * (observed - self._tau)


class Mirostat1Picker(Mirostat2Picker):
    """Like the second version, but cut off by a rank that Zipf's law gives for mu.

    Source: ``mirostat`` in llama.cpp's src/llama-sampler.cpp; where its formula has no value (one
    candidate, all equal, an exponent of one) the limit is taken instead.
    """

    def __init__(self, *, tau: float, eta: float, n_vocab: int) -> None:
        """Begin with mu at twice the target."""
        super().__init__(tau=tau, eta=eta)
        self._n_vocab = n_vocab

    def kept(self, logits: Logits) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Return the k most probable candidates, most probable first."""
        best = _best(logits, _N_BEST)
        k = self._rank(logits[best])
        return best[:k] if k <= len(best) else _best(logits, k)

    def _rank(self, best: Logits) -> int:
        if len(best) < 2:
            return 1
        ranks = np.arange(1, len(best), dtype=np.float64)
        t = np.log((ranks + 1.0) / ranks)
        s = float((t * (best[:-1] - best[1:])).sum() / (t * t).sum())
        epsilon = s - 1.0
        log_n = math.log(max(self._n_vocab, 2))
        # ln(epsilon / (1 - n ** -epsilon)), whose limit at 0 is -ln(ln n)
        ratio = epsilon / -math.expm1(-epsilon * log_n) if abs(epsilon) > 1e-12 else 1.0 / log_n
        log_k = math.log(ratio) + self._mu * math.log(2.0) if ratio > 0 else -math.inf
        if s < 1e-12:
            return self._n_vocab if log_k > 0 else 1
        return max(1, int(math.exp(min(log_k / s, log_n))))


class AdaptivePicker:
    """Prefer tokens whose probability is near a target that follows what was drawn before.

    Source: ``adaptive_p`` in llama.cpp's src/llama-sampler.cpp (pull request 17927). There in
    float32, here in float64.
    """

    def __init__(self, *, target: float, decay: float) -> None:
        """Begin as if every token so far had had the target probability."""
        self._target = target
        self._decay = decay
        self._weighted_sum = target / (1.0 - decay)
        self._total_weight = 1.0 / (1.0 - decay)

    @property
    def state(self) -> tuple[float, ...]:
        """Return the two sums of the moving average."""
        return (self._weighted_sum, self._total_weight)

    def load(self, state: tuple[float, ...]) -> None:
        """Go on from saved sums."""
        self._weighted_sum, self._total_weight = state

    def pick(self, logits: Logits, u: float) -> tuple[int, float]:
        """Draw; the second value is the probability that the token had before the transform."""
        probabilities = np.exp(logits - _log_sum(logits))
        index = draw(self.transformed(probabilities), u)
        return index, float(probabilities[index])

    def transformed(self, probabilities: Logits) -> Logits:
        """Return the logits to draw from: quadratic near the target, linear far from it."""
        average = self._weighted_sum / self._total_weight
        target = min(max(2.0 * self._target - average, 0.0), 1.0)
        distance = np.abs(probabilities - target) / _WIDTH
        transformed: Logits = _PEAK - _SHARPNESS * distance * distance / (1.0 + distance)
        return transformed

    def learn(self, observed: float) -> None:
        """Take the drawn token's probability into the average."""
        self._weighted_sum = observed + self._decay * self._weighted_sum
        self._total_weight = 1.0 + self._decay * self._total_weight


def _pick(logits: Logits, kept: np.ndarray[tuple[int], np.dtype[np.intp]], u: float) -> tuple[int, float]:
    left = logits[kept]
    index = draw(left, u)
    surprise = (_log_sum(left) - float(left[index])) / math.log(2.0)
    return int(kept[index]), surprise


def _best(logits: Logits, n: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the indices of the n largest, largest first, equal ones by index."""
    if n < len(logits):
        bound = np.partition(logits, len(logits) - n)[len(logits) - n]
        found = (logits >= bound).nonzero()[0]
    else:
        found = np.arange(len(logits))
    best: np.ndarray[tuple[int], np.dtype[np.intp]] = found[np.argsort(-logits[found], kind="stable")]
    return best[:n]


def _log_sum(logits: Logits) -> float:
    highest = float(logits.max())
    return highest + math.log(float(np.exp(logits - highest).sum()))
