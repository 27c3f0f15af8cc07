"""One time series that is a histogram."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence

__all__ = ["Distribution"]


class Distribution:
    """How many observations fell below each end, and their sum.

    Owner: the readers, in the late handlers' thread; any thread may read. Who reads while an observation is
    made may miss it in the sum or in the counts.
    """

    __slots__ = ("_counts", "_ends", "_sum", "created_s")

    def __init__(self, ends: Sequence[float]) -> None:
        """Know of no observation.

        Args:
            ends: Upper ends of the buckets, inclusive, growing, below a million (larger ones are written in
                another way); the last bucket has none.
        """
        self._ends = ends
        self._counts = [0] * (len(ends) + 1)
        self._sum = 0.0
        self.created_s = time.time()

    def observe(self, value: float) -> None:
        """Count a value. Cost: a search in some fifteen ends, half a microsecond."""
        self._sum += value
        self._counts[bisect_left(self._ends, value)] += 1

    def parts(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Give what a scrape tells of it: what is put behind its name, labels beside its own, the number."""
        n_below = 0
        for end, count in zip((*map(repr, self._ends), "+Inf"), list(self._counts), strict=True):
            n_below += count
            yield "_bucket", {"le": end}, float(n_below)
        yield "_count", {}, float(n_below)
        yield "_sum", {}, self._sum
