"""The choices of a whole step at once, for turns that ask for what most ask for."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import pairwise
from operator import gt, lt
from typing import Protocol

import numpy as np

from actorllama.native.llama.binding import llama_cpp
from actorllama.native.llama.library import held_gil
from actorllama.native.llama.sampler_candidates import bound_of_best
from actorllama.native.rng import uniform_at, uniforms_at
from actorllama.native.sampler_shifts import Row

__all__ = ["MAX_CROWD_K", "CrowdChooser", "CrowdMember"]

MAX_CROWD_K = 512
"""Top-k at most; what keeps more is chosen one by one."""

Rows = np.ndarray[tuple[int, int], np.dtype[np.float32]]
_Mask = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
_Ints = np.ndarray[tuple[int], np.dtype[np.int64]]

_RECORD = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_ARRAY = np.dtype(
    {
        "names": ["data", "size", "selected", "sorted"],
        "formats": [np.uint64, np.int64, np.int64, np.bool_],
        "offsets": [
            getattr(llama_cpp.llama_token_data_array, name).offset
            for name in ("data", "size", "selected", "sorted")
        ],
        "itemsize": ctypes.sizeof(llama_cpp.llama_token_data_array),
    }
)
_apply = held_gil("llama_sampler_apply", argtypes=(ctypes.c_void_p, ctypes.c_void_p))
_reaches, _minus, _least = np.greater_equal, np.subtract, np.minimum
_exp, _accumulate = np.exp, np.add.accumulate
_MANY = 8  # times k: so many tokens may reach the bound before it is looked for again
_SLACK = 0.3
_MAX_MASK_BYTES = 1 << 21
_MAX_ROWS = 256
_HIGHEST_BITS = np.int32(0x7FFFFFFF)
_VALUE_BITS = 33  # of a key: a negated int32; the index below takes 22 bits at most, the row above 8
_N_NUMBERS = 32  # that are drawn ahead: a number depends on key and count alone


class CrowdMember(Protocol):
    """A sampler whose choice is top-k, then top-p, min-p and temperature at most, then a draw.

    It keeps its place in the generator, and the bound that its last row suggests for the next one.
    """

    crowd_k: int
    """Tokens that top-k keeps; 0 if it cannot choose in a crowd."""
    crowd_chain: int
    """Address of llama.cpp's chain, which begins with top-k."""
    crowd_key: int
    """Of its generator."""
    n_draws: int
    """Numbers that it has drawn."""
    bound: float
    """What at least k tokens of its next row will probably reach."""
    slack: float
    """How far that lies below the k-th value of the row before."""

    def choose_alone(self, row: Row) -> int:
        """Choose from a row that has fewer than k tokens to choose from: the others are NaN or forbidden."""
        ...


class CrowdChooser:
    """Choose for every turn of a step with as few calls as for one.

    A choice comes right after ``llama_decode``, which has pushed everything else out of the processor's
    caches: each function that is called for the first time then costs 3 to 10 µs. So all rows go through each
    operation together: one comparison with a bound per row, one look for the tokens that reach theirs, one
    draw. Only llama.cpp's filters are called row by row.

    What is chosen depends on the row alone, never on who else is chosen for: the k best tokens of a row,
    equal ones by id, are found exactly, whatever the bound was; all that follows is elementwise or runs
    along one row.

    Owner: one context's thread.

    Cost: 250 µs for 8 rows of 32,000 right after a step of 4.5 ms, where one by one takes 350.
    """

    def __init__(self, *, n_vocab: int) -> None:
        """Serve rows of this width."""
        self._n_vocab = n_vocab
        self._n_most = max(1, min(_MAX_ROWS, _MAX_MASK_BYTES // n_vocab))
        self._mask = np.zeros(0, dtype=np.bool_)
        self._bench: _Bench | None = None

    def choose(self, rows: Rows, members: Sequence[CrowdMember]) -> list[int]:
        """Choose a token from each row.

        Args:
            rows: Shape ``(n, n_vocab)``, float32, C order.
            members: Whose rows they are, with ``crowd_k`` above 0.
        """
        n, n_most = len(members), self._n_most
        if n > n_most:
            return [
                token
                for at in range(0, n, n_most)
                for token in self.choose(rows[at : at + n_most], members[at : at + n_most])
            ]
        bench = self._bench
        if bench is None or bench.members != members:
            if len(self._mask) < n * self._n_vocab:
                self._mask = np.zeros(n * self._n_vocab, dtype=np.bool_)
            if bench is not None:
                bench.disband()
            bench = self._bench = _Bench(members, self._mask[: n * self._n_vocab].reshape(n, -1))
        if n == 1:
            token = bench.only(rows[0])
            return [members[0].choose_alone(rows[0]) if token is None else token]
        best = bench.best(rows)
        if best is not None:
            return bench.drawn(best)
        # A row without k tokens to choose from; the others must not notice.
        return [self.choose(rows[at : at + 1], members[at : at + 1])[0] for at in range(n)]


class _Bench:
    """Memory and constants for certain members: as long as they stay the same nothing is made anew."""

    def __init__(self, members: Sequence[CrowdMember], mask: _Mask) -> None:
        self.members = list(members)
        n, n_vocab = mask.shape
        ks = [member.crowd_k for member in members]
        k = max(ks)
        self._mask, self._flat_mask = mask, mask.reshape(-1)
        self._ks, self._mosts = ks, [k * _MANY for k in ks]
        self._row_starts = np.arange(n + 1) * n_vocab
        self._row_firsts = self._row_starts[:-1]
        self._ranks = np.arange(k)
        self._firsts = np.arange(n) * k
        self._kths = self._firsts + (np.array(ks) - 1)
        self._before_sums = np.arange(n) * (k + 1) - 1  # plus a size: the last of a row's
        shift = max(1, int(n * n_vocab - 1).bit_length())
        self._shift, self._low = np.int64(shift), np.int64((1 << shift) - 1)
        self._row_terms = np.arange(n) << (shift + _VALUE_BITS)
        self._records = np.zeros((n, k), dtype=_RECORD)
        self._logits = self._records["logit"]  # the ids stay 0: none of the filters looks at them
        self._arrays = np.zeros(n, dtype=_ARRAY)
        self._arrays["data"] = self._records.ctypes.data + np.arange(n) * self._records.strides[0]
        self._arrays["size"] = ks
        self._arrays["selected"] = -1
        self._arrays["sorted"] = True
        self._array_bytes = self._arrays.view(np.uint8)
        self._fresh_bytes = self._array_bytes.copy()
        self._sizes = self._arrays["size"]
        address, stride = self._arrays.ctypes.data, self._arrays.strides[0]
        self._calls = [(member.crowd_chain, address + i * stride) for i, member in enumerate(members)]
        self._sums = np.full((n, k + 1), np.inf)  # the last of each row stays: a number lies below it
        self._weights = self._sums[:, :k]
        self._highest = self._weights[:, :1]
        self._bounds = np.array([[member.bound] for member in members], dtype=np.float32)
        self._slacks = np.array([member.slack for member in members], dtype=np.float32)
        self._keys_of_draws = np.array([member.crowd_key for member in members], dtype=np.uint64)
        self._numbers = np.zeros((0, n))
        self._n_used = 0
        self._n_drawn = [member.n_draws for member in members]
        self._has_negative = False

    def disband(self) -> None:
        """Let the members remember what their last rows suggest for the next ones."""
        bounds, slacks = self._bounds[:, 0].tolist(), self._slacks.tolist()
        for member, bound, slack in zip(self.members, bounds, slacks, strict=True):
            member.bound, member.slack = bound, slack

    def best(self, rows: Rows) -> _Ints | None:
        """Return the k best of each row as indices into all rows, shape ``(n, k)``, best first.

        With members of different k, what lies behind a row's own k means nothing. ``None`` if some row has
        fewer than k tokens above ``-inf``.
        """
        _reaches(rows, self._bounds, self._mask)
        found: _Ints = self._flat_mask.nonzero()[0]
        ends = found.searchsorted(self._row_starts)
        at = ends.tolist()
        counts = [end - first for first, end in pairwise(at)]
        if any(map(lt, counts, self._ks)) or any(map(gt, counts, self._mosts)):
            again = self._found_again(rows, found, at)
            if again is None:
                return None
            found = again
            ends = found.searchsorted(self._row_starts)
        values = rows.reshape(-1)
        keys = self._keys(values, found)
        keys += self._row_terms.repeat(ends[1:] - ends[:-1])
        keys.sort()
        best: _Ints = keys.take(ends[:-1, None] + self._ranks, mode="clip")
        best &= self._low
        logits = values.take(best)
        kths = logits.take(self._kths)
        if not self._has_negative and min(kths.tolist()) <= 0.0:
            self._has_negative = True
            return self.best(rows)
        self._logits[...] = logits
        # Somewhat below the k-th value, so that the next row, which is alike, has k above it.
        _minus(kths, self._slacks, self._bounds[:, 0])
        return best

    def only(self, row: Row) -> int | None:
        """Choose for the only member, as ``best`` and ``drawn`` would, with half as many calls.

        ``None`` if the row has fewer than k tokens above ``-inf``.
        """
        member, logits = self.members[0], self._logits[0]
        least, most = self._ks[0], self._mosts[0]
        _reaches(row, self._bounds[0, 0], self._mask[0])
        found: _Ints = self._flat_mask.nonzero()[0]
        if not least <= len(found) <= most:
            again = self._look_again(row, 0)
            if again is None:
                return None
            found = again
        keys = self._keys(row, found)
        keys.sort()
        best = keys[:least]
        best &= self._low
        logits[:] = row.take(best)
        if not self._has_negative and logits[-1] <= 0.0:
            self._has_negative = True
            return self.only(row)
        self._bounds[0, 0] = logits[-1] - self._slacks[0]
        self._array_bytes[...] = self._fresh_bytes
        _apply(*self._calls[0])
        n = int(self._sizes[0])
        u = uniform_at(member.crowd_key, member.n_draws)
        member.n_draws += 1
        weights = self._weights[0, :n]
        _minus(logits[:n], logits[0], weights, dtype=np.float64)
        _exp(weights, weights)
        _accumulate(weights, 0, None, weights)
        return int(best[min(int(weights.searchsorted(u * weights[-1], "right")), n - 1)])

    def _keys(self, values: Row, found: _Ints) -> _Ints:
        """Return ascending integers for descending values; the index in their low bits decides ties.

        Of negative values the bits have another order, and come behind all others: they are looked at only
        once a row has had one, or 0, among its k best.
        """
        bits = values.take(found).view(np.int32)
        if self._has_negative:
            bits = bits ^ ((bits >> 31) & _HIGHEST_BITS)
        keys: _Ints = bits.astype(np.int64)
        keys <<= self._shift
        _minus(found, keys, keys)
        return keys

    def _found_again(self, rows: Rows, found: _Ints, at: Sequence[int]) -> _Ints | None:
        """Look again at rows of which too few or too many were found; ``None`` if one has too few."""
        pieces: list[_Ints] = []
        spans = zip(self._ks, self._mosts, pairwise(at), strict=True)
        for index, (least, most, (first, end)) in enumerate(spans):
            if least <= end - first <= most:
                pieces.append(found[first:end])
                continue
            again = self._look_again(rows[index], index)
            if again is None:
                return None
            pieces.append(again + self._row_starts[index])
        return np.concatenate(pieces)

    def _look_again(self, row: Row, index: int) -> _Ints | None:
        """Find the tokens of one row that reach a bound of its own, ascending; ``None`` if too few do."""
        k = self.members[index].crowd_k
        bound = bound_of_best(row, k)
        found = (row >= bound).nonzero()[0]
        if len(found) < k:  # NaN, which has no place in an order, was taken for the highest
            bound = np.partition(np.where(np.isnan(row), -np.inf, row), len(row) - k)[len(row) - k]
            found = (row >= bound).nonzero()[0]
        if not bound > -np.inf:
            return None
        reaching = row.take(found)
        self._slacks[index] = _SLACK * float(reaching.max() - reaching.min())
        return found

    def drawn(self, best: _Ints) -> list[int]:
        """Filter the candidates of each row and return the token that its next number selects.

        The inverse of the cumulative distribution, as ``sampler_pickers.draw`` has it.
        """
        self._array_bytes[...] = self._fresh_bytes
        for chain, address in self._calls:
            _apply(chain, address)
        weights = self._weights
        weights[...] = self._logits
        weights -= self._highest.copy()
        _least(weights, 0.0, out=weights)  # what a filter cut off may stand there unscaled
        _exp(weights, weights)
        _accumulate(weights, 1, None, weights)
        thresholds = self._sums.take(self._before_sums + self._sizes)
        thresholds *= self._next_numbers()  # which are below 1: so is each product below its last sum
        at = (self._sums <= thresholds[:, None]).argmin(1)  # the first that is above
        at += self._firsts
        tokens = best.take(at)
        tokens -= self._row_firsts
        return tokens.tolist()

    def _next_numbers(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return each member's next number, and count it."""
        n_drawn = [member.n_draws for member in self.members]
        if self._n_used == len(self._numbers) or n_drawn != self._n_drawn:
            firsts = np.array(n_drawn, dtype=np.uint64)
            self._numbers = uniforms_at(self._keys_of_draws, firsts, _N_NUMBERS)
            self._n_used = 0
        for member in self.members:
            member.n_draws += 1
        self._n_drawn = [n + 1 for n in n_drawn]
        self._n_used += 1
        return self._numbers[self._n_used - 1]
