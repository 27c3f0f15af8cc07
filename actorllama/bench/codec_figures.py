"""What was measured of one codec, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, thread_time
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["CodecFigures", "Distance", "Speed", "distance", "fastest"]

_MEASURED_S: Final = 0.15
_MAX_CALLS: Final = 2000


@frozen(kw_only=True)
class Speed:
    """Of one thread, best of many calls, in bytes of raw state per second."""

    thread_bytes_s: float
    wall_bytes_s: float


@frozen(kw_only=True)
class Distance:
    """How far a continuation is from the live one, over all positions."""

    kl_mean: float
    kl_max: float
    top1_agreement: float
    n_positions: int

    @property
    def is_none(self) -> bool:
        """Whether not one position differs."""
        return self.kl_max == 0.0 and self.top1_agreement == 1.0


@frozen(kw_only=True)
class CodecFigures:
    """One row of the report."""

    name: str
    is_lossy: bool
    ratio: float
    """Raw bytes against encoded bytes, of whole states."""
    blocks_ratio: float
    """The same when the state is stored in blocks, each encoded alone, as tiers do: what counts."""
    encode: Speed
    decode: Speed
    distance: Distance

    @property
    def read_break_even_bytes_s(self) -> float:
        """From tiers slower than this, reading and decoding is faster than reading everything."""
        return self.decode.thread_bytes_s * max(0.0, 1 - 1 / self.blocks_ratio)

    @property
    def write_break_even_bytes_s(self) -> float:
        """To tiers slower than this, encoding and writing is faster than writing everything."""
        return self.encode.thread_bytes_s * max(0.0, 1 - 1 / self.blocks_ratio)

    def to_json(self) -> dict[str, object]:
        """Give the row as plain values; GB are 10^9 raw bytes."""
        return {
            "name": self.name,
            "is_lossy": self.is_lossy,
            "ratio": round(self.ratio, 4),
            "blocks_ratio": round(self.blocks_ratio, 4),
            "encode_gb_s": round(self.encode.thread_bytes_s / 1e9, 4),
            "decode_gb_s": round(self.decode.thread_bytes_s / 1e9, 4),
            "encode_wall_gb_s": round(self.encode.wall_bytes_s / 1e9, 4),
            "decode_wall_gb_s": round(self.decode.wall_bytes_s / 1e9, 4),
            "read_break_even_gb_s": round(self.read_break_even_bytes_s / 1e9, 4),
            "write_break_even_gb_s": round(self.write_break_even_bytes_s / 1e9, 4),
            # Not rounded: that one position differs in its last bit must be seen.
            "kl_mean": self.distance.kl_mean,
            "kl_max": self.distance.kl_max,
            "top1_agreement": self.distance.top1_agreement,
            "n_positions": self.distance.n_positions,
        }


def fastest(work: Callable[[], object], *, n_bytes: int) -> Speed:
    """Call again and again for a while; return the best speed."""
    best_thread_s = best_wall_s = float("inf")
    ends = perf_counter() + _MEASURED_S
    for _call in range(_MAX_CALLS):
        thread_s, wall_s = thread_time(), perf_counter()
        work()
        best_thread_s = min(best_thread_s, thread_time() - thread_s)
        best_wall_s = min(best_wall_s, perf_counter() - wall_s)
        if perf_counter() > ends:
            break
    tick_s = 1e-9  # clocks may not have moved
    return Speed(
        thread_bytes_s=n_bytes / max(best_thread_s, tick_s), wall_bytes_s=n_bytes / max(best_wall_s, tick_s)
    )


def distance(live: NDArray[np.float32], other: NDArray[np.float32]) -> Distance:
    """Compare two runs' logits, shape ``(n_positions, n_vocab)``: KL(live || other) in nats, over all tokens.

    A position whose logits are equal to the last bit counts as exactly 0.
    """
    live_log, other_log = _log_softmax(live), _log_softmax(other)
    kl = (np.exp(live_log) * (live_log - other_log)).sum(axis=1)
    # Rounding can make a sum of tiny differences negative, which a divergence is not.
    kl = np.where((live == other).all(axis=1), 0.0, np.maximum(kl, np.finfo(np.float64).tiny))
    agree = live.argmax(axis=1) == other.argmax(axis=1)
    return Distance(
        kl_mean=float(kl.mean()),
        kl_max=float(kl.max()),
        top1_agreement=float(agree.mean()),
        n_positions=len(kl),
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(axis=1, keepdims=True))
    return wide
