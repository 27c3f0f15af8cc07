"""The sampler of one turn: our penalties and draw around llama.cpp's own filters."""

from __future__ import annotations

import ctypes
from collections import Counter, deque
from collections.abc import Sequence

import llama_cpp
import numpy as np

from actorllama.native.llama.library import held_gil
from actorllama.native.rng import uniform
from actorllama.native.sampling import SamplingParams

__all__ = ["LlamaSampler"]

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_apply = held_gil("llama_sampler_apply")

_Row = np.ndarray[tuple[int], np.dtype[np.float32]]


class LlamaSampler:
    """Choose one turn's tokens from logits rows.

    In llama.cpp's default order: logit bias, penalties, then its native filters (top-k, typical,
    top-p, min-p, temperature), then a draw from what is left by our own counter-based generator, so
    that the generator's whole state is (seed, n_draws). What has state of its own (penalties) is
    ours, so that it can be saved; what is stateless stays native.

    Cost: 20 to 25 µs a token at 32k vocabulary with the default filters (native chain and draw: 29).
    """

    __slots__ = ("_bias", "_chain", "_counts", "_is_open", "_n_draws", "_n_vocab", "_params", "_recent")

    def __init__(self, params: SamplingParams, history: Sequence[int], *, n_vocab: int) -> None:
        """Build the filters; ``history`` are the tokens that penalties start from."""
        self._params = params
        self._n_vocab = n_vocab
        self._n_draws = 0
        self._bias = dict(params.logit_bias or {})
        self._counts: Counter[int] = Counter()
        self._recent: deque[int] = deque()
        self._chain = None if params.is_greedy else _build_chain(params)
        self._is_open = True
        if params.has_penalties:
            for token in history[-self._window :] if self._window else history:
                self._remember(token)

    @property
    def n_draws(self) -> int:
        """Random numbers drawn so far."""
        return self._n_draws

    @property
    def _window(self) -> int:
        """How many tokens penalties look back; 0 is all of them."""
        return max(self._params.penalty_last_n, 0)

    def accept(self, token: int) -> None:
        """Tell the penalties that this token is part of the text."""
        if self._params.has_penalties:
            self._remember(token)

    def choose(self, row: _Row) -> int:
        """Choose a token from one logits row, shape ``(n_vocab,)``, and accept it.

        The row is changed where bias and penalties apply, and put back before returning.
        """
        if not self._bias and not self._counts:
            token = self._choose_plain(row)
        else:
            touched = np.fromiter({**self._bias, **self._counts}, dtype=np.int64)
            before = row[touched]
            try:
                self._shift(row)
                token = self._choose_plain(row)
            finally:
                row[touched] = before
        self.accept(token)
        return token

    def close(self) -> None:
        """Free the native chain; safe to call again."""
        if self._is_open and self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
        self._is_open = False

    def _choose_plain(self, row: _Row) -> int:
        if self._chain is None:
            return int(row.argmax())
        candidates = _candidates(row, self._params.top_k)
        array = llama_cpp.llama_token_data_array(
            data=ctypes.cast(candidates.ctypes.data, llama_cpp.llama_token_data_p),
            size=len(candidates),
            selected=-1,
            sorted=False,
        )
        _apply(self._chain, ctypes.byref(array))
        return self._draw(candidates[: array.size])

    def _draw(self, kept: np.ndarray[tuple[int], np.dtype[np.void]]) -> int:
        # Inverse of the cumulative distribution, in double precision, in the order the filters left.
        logits = kept["logit"].astype(np.float64)
        weights = np.exp(logits - logits.max())
        cumulative = weights.cumsum()
        u = uniform(self._params.seed, self._n_draws) * cumulative[-1]
        self._n_draws += 1
        index = int(cumulative.searchsorted(u, side="right"))
        return int(kept["id"][min(index, len(kept) - 1)])

    def _shift(self, row: _Row) -> None:
        for token, bias in self._bias.items():
            row[token] += bias
        p = self._params
        for token, count in self._counts.items():
            logit = float(row[token])
            logit = logit * p.repeat_penalty if logit <= 0 else logit / p.repeat_penalty
            row[token] = logit - count * p.frequency_penalty - p.presence_penalty

    def _remember(self, token: int) -> None:
        self._recent.append(token)
        self._counts[token] += 1
        if self._window and len(self._recent) > self._window:
            oldest = self._recent.popleft()
            self._counts[oldest] -= 1
            if self._counts[oldest] == 0:
                del self._counts[oldest]


def _build_chain(params: SamplingParams) -> object:
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    add = llama_cpp.llama_sampler_chain_add
    if params.top_k > 0:
        add(chain, llama_cpp.llama_sampler_init_top_k(params.top_k))
    if params.typical_p < 1.0:
        add(chain, llama_cpp.llama_sampler_init_typical(params.typical_p, 1))
    if params.top_p < 1.0:
        add(chain, llama_cpp.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0.0:
        add(chain, llama_cpp.llama_sampler_init_min_p(params.min_p, 1))
    if params.temperature != 1.0:
        add(chain, llama_cpp.llama_sampler_init_temp(params.temperature))
    return chain


def _candidates(row: _Row, top_k: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Copy the tokens that the filters may keep, as llama.cpp's candidate records.

    With top-k first in the chain only a superset of the k best needs copying: split the row into
    groups; the k-th largest group maximum is a bound that at least k tokens reach. 12 µs instead of
    25 for the whole of a 32k vocabulary, and the filters then see some 50 records instead of 32,000.
    """
    ids: np.ndarray[tuple[int], np.dtype[np.intp]] | None = None
    n_groups = len(row) // 64
    if 0 < top_k < n_groups // 2:
        width = n_groups * 64
        maxima = np.maximum.reduce(row[:width].reshape(64, n_groups), axis=0)
        bound = np.partition(maxima, n_groups - top_k)[n_groups - top_k]
        ids = (row >= bound).nonzero()[0]
    if ids is None or len(ids) < top_k:  # NaN in the logits compares false: let the native filters see all
        candidates = np.zeros(len(row), dtype=_CANDIDATE)
        candidates["id"] = np.arange(len(row), dtype=np.int32)
        candidates["logit"] = row
        return candidates
    candidates = np.zeros(len(ids), dtype=_CANDIDATE)
    candidates["id"] = ids
    candidates["logit"] = row[ids]
    return candidates
