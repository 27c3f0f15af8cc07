"""The candidates of one choice, in memory that llama.cpp's filters work on."""

from __future__ import annotations

import ctypes

import numpy as np

from actorllama.native.llama.binding import llama_cpp
from actorllama.native.sampler_shifts import Ids, Row

__all__ = ["Candidates", "bound_of_best"]

_RECORD = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_N_BLOCKS = 64
_HIGHEST = np.float32(1e30)
_LOWEST = -np.inf
_DOUBLE = np.float64
_MANY = 8
_SLACK = 0.3
_reaches, _minus, _exp, _accumulate = np.greater_equal, np.subtract, np.exp, np.add.accumulate


class Candidates:
    """A ``llama_token_data_array`` over a buffer that is kept between choices.

    ``ids`` and ``logits`` are views of the first ``size`` records, in the order the filters left.
    ``address`` is where llama.cpp finds the array.

    A choice comes right after ``llama_decode``, which has pushed everything else out of the processor's
    caches: each function that is called for the first time then costs 3 to 10 µs, ten times what it
    costs when it is warm. So what every choice needs is written with few calls, into memory that is kept.

    Owner: one context's samplers, one after the other; what they hold is gone with the next ``fill``.
    """

    def __init__(self) -> None:
        """Begin with room for what top-k usually leaves."""
        self._guess = np.inf
        self._slack = 0.0
        self._mask = np.zeros(0, dtype=np.bool_)
        self._grow(1024)

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return int(self.array.size)

    @property
    def ids(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """Token ids, a view."""
        return self._ids[: self.array.size]

    @property
    def logits(self) -> Row:
        """Logits, a view."""
        return self._logits[: self.array.size]

    def fill(self, row: Row, ids: Ids) -> None:
        """Take these tokens of a logits row."""
        self._set(ids, row[ids])

    def _set(self, ids: Ids, logits: Row) -> None:
        n = len(ids)
        if n > self._capacity:
            self._grow(n)
        self._ids[:n] = ids
        self._logits[:n] = logits
        self.array.size = n
        self.array.sorted = False

    def fill_all(self, row: Row) -> None:
        """Take every token that is not forbidden.

        NaN goes too: it has no place in an order, and llama.cpp sorts. If nothing is left, take the
        first token rather than nothing, because llama.cpp asserts that there is one.
        """
        ids = (row > -np.inf).nonzero()[0]
        self.fill(row, ids if len(ids) else np.zeros(1, dtype=np.int64))

    def fill_best(self, row: Row, k: int) -> None:
        """Take the k best tokens, and those that tie with the k-th.

        The bound that held for the row before is tried first: if at least k tokens reach it, and not
        too many, one pass over the row is enough. Else split the row into groups; the k-th largest
        group maximum is a bound that at least k tokens reach. Either way the exact k-th value then
        decides, so what is taken does not depend on earlier rows.
        """
        n_groups = len(row) // _N_BLOCKS
        if k >= n_groups // 2:
            self.fill_all(row)
            return
        if len(self._mask) != len(row):
            self._mask = np.zeros(len(row), dtype=np.bool_)
        ids = _reaches(row, self._guess, self._mask).nonzero()[0]
        n = len(ids)
        if not k <= n <= _MANY * k:
            ids = (row >= bound_of_best(row, k)).nonzero()[0]
            n = len(ids)
            if n < k:  # NaN in the logits compares false
                self.fill_all(row)
                return
            self._slack = _SLACK * (float(row[ids].max()) - float(row[ids].min()))
        values = row.take(ids)
        ordered = values.copy()
        ordered.partition(n - k)
        kth = float(ordered[n - k])
        if kth == _LOWEST:
            self.fill_all(row)
            return
        # Somewhat below the k-th value, so that the next row, which is alike, has k above it.
        self._guess = kth - self._slack
        if n > k:
            is_kept = values >= kth
            ids, values = ids[is_kept], values[is_kept]
        self._set(ids, values)

    def drawn(self, u: float) -> int:
        """Return the token that ``u`` in ``[0, 1)`` selects: inverse of the cumulative distribution.

        The same token as by ``sampler_pickers.draw``, with fewer calls: candidates that are in order begin
        with the highest, and are made float64 while it is taken off them.
        """
        array = self.array
        n = array.size
        if n == 1:
            return int(self._ids[0])
        logits = self._logits[:n]
        weights = _minus(
            logits, logits[0] if array.sorted else logits.max(), self._weights[:n], dtype=_DOUBLE
        )
        _exp(weights, weights)
        _accumulate(weights, 0, None, weights)
        index = int(weights.searchsorted(u * weights[-1], "right"))
        return int(self._ids[index if index < n else n - 1])

    def drop_forbidden(self) -> None:
        """Drop candidates at ``-inf``, which some filters leave in place; at least one is not.

        ``+inf``, which dividing by almost nothing gives, becomes a number that can be calculated with.
        """
        np.minimum(self.logits, _HIGHEST, out=self.logits)
        allowed = (self.logits > -np.inf).nonzero()[0]
        if len(allowed) < self.size:
            is_sorted = self.array.sorted
            self.keep(allowed)
            self.array.sorted = is_sorted

    def keep(self, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> None:
        """Keep these candidates, in this order."""
        n = len(order)
        self._records[:n] = self._records[order]
        self.array.size = n
        self.array.sorted = False

    def _grow(self, capacity: int) -> None:
        self._capacity = capacity
        self._records = np.zeros(capacity, dtype=_RECORD)
        self._ids = self._records["id"]
        self._logits = self._records["logit"]
        self._weights = np.zeros(capacity, dtype=np.float64)
        self.array = llama_cpp.llama_token_data_array(
            data=ctypes.cast(self._records.ctypes.data, llama_cpp.llama_token_data_p),
            size=0,
            selected=-1,
            sorted=False,
        )
        self.address = ctypes.addressof(self.array)


def bound_of_best(row: Row, k: int) -> np.float32:
    """Return a value that at least the k best tokens of a row reach; NaN in the row may make it too high.

    The row is split into groups: the k-th largest maximum of a group is such a bound, and quickly found. With
    few groups the k-th value itself is.
    """
    n_groups = len(row) // _N_BLOCKS
    if k >= n_groups // 2:
        exact: np.float32 = np.partition(row, len(row) - k)[len(row) - k]
        return exact
    width = n_groups * _N_BLOCKS
    maxima = np.maximum.reduce(row[:width].reshape(_N_BLOCKS, n_groups), axis=0)
    bound: np.float32 = np.partition(maxima, n_groups - k)[n_groups - k]
    return bound
