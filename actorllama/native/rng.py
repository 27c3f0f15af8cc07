"""The random generator whose whole state is two integers."""

from __future__ import annotations

import numpy as np
from attrs import frozen

__all__ = ["RngState", "uniform", "uniform_at", "uniform_key", "uniforms_at"]

_Keys = np.ndarray[tuple[int], np.dtype[np.uint64]]

_MASK = 0xFFFFFFFFFFFFFFFF
_GAMMA = 0x9E3779B97F4A7C15


@frozen(kw_only=True)
class RngState:
    """Where a turn's generator stands: the next draw is ``uniform(seed, n_draws)``."""

    seed: int
    n_draws: int = 0


def uniform(seed: int, index: int, stream: int = 0) -> float:
    """Return draw number ``index`` of the generator keyed by ``seed``, in ``[0, 1)``.

    A counter-based generator: any draw can be computed without those before it, so saving it means
    saving two integers, and the numbers are the same on every platform and library build (unlike
    ``std::discrete_distribution``, llama-notes 4.2).

    Args:
        seed: 64-bit key.
        index: Counter, from 0.
        stream: Separates users with the same seed (the final draw is 0).

    Source: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), with the key mixed before it is used so
        that neighbouring seeds are unrelated.
    """
    return uniform_at(uniform_key(seed, stream), index)


def uniform_key(seed: int, stream: int = 0) -> int:
    """Return what ``uniform_at`` needs of a seed: who draws often mixes it once."""
    return _mix((seed + stream * 0xD1B54A32D192ED03) & _MASK)


def uniform_at(key: int, index: int) -> float:
    """Return draw number ``index`` of the generator with this key, as ``uniform`` does."""
    z = (key + (index + 1) * _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) * 1.1102230246251565e-16


def uniforms_at(keys: _Keys, firsts: _Keys, n: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return draws ``firsts`` to ``firsts + n - 1`` of each key, as ``uniform_at``: ``(n, len(keys))``."""
    z = firsts + np.arange(1, n + 1, dtype=np.uint64)[:, None]
    z *= np.uint64(_GAMMA)
    z += keys
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    z >>= np.uint64(11)
    drawn: np.ndarray[tuple[int, int], np.dtype[np.float64]] = z.astype(np.float64)
    drawn *= 1.1102230246251565e-16
    return drawn


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
