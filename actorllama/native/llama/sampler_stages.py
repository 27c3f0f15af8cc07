"""The stages between a logits row and the draw, in the order that a request asks for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Protocol

import numpy as np

from actorllama.native.llama.binding import llama_cpp
from actorllama.native.llama.library import held_gil
from actorllama.native.llama.sampler_candidates import Candidates
from actorllama.native.rng import uniform
from actorllama.native.sampler_shifts import Row, Shift
from actorllama.native.sampler_xtc import xtc_order
from actorllama.native.sampling import SamplingParams

__all__ = ["FilterChain", "LateShift", "Stage", "XtcStage", "filter_chain", "native_filters"]

_apply = held_gil("llama_sampler_apply", argtypes=(ctypes.c_void_p, ctypes.c_void_p))

_MakeFilter = Callable[[], object]


class Stage(Protocol):
    """Whatever drops or changes candidates."""

    def apply(self, candidates: Candidates) -> None:
        """Work on the candidates in place; at least one stays."""
        ...

    def close(self) -> None:
        """Free what is native about it; safe to call again."""
        ...


class FilterChain:
    """Neighbouring stages that llama.cpp does: stateless filters.

    Top-n-sigma and a dynamic temperature of 0 forbid candidates without dropping them. XTC and
    adaptive-p would take those for candidates, so they are dropped at the end of the chain.
    """

    __slots__ = ("_handle", "address", "may_forbid", "names")

    def __init__(self, filters: dict[str, _MakeFilter], *, may_forbid: bool) -> None:
        """Build the chain from filters by name, in their order."""
        self.names = tuple(filters)
        self.may_forbid = may_forbid
        self._handle = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for make in filters.values():
            llama_cpp.llama_sampler_chain_add(self._handle, make())
        self.address = int(ctypes.cast(self._handle, ctypes.c_void_p).value or 0)

    def apply(self, candidates: Candidates) -> None:
        """Let llama.cpp drop and scale."""
        _apply(self.address, candidates.address)
        if self.may_forbid:
            candidates.drop_forbidden()

    def close(self) -> None:
        """Free the chain with its filters."""
        if self._handle is not None:
            llama_cpp.llama_sampler_free(self._handle)
            self._handle = None


class XtcStage:
    """XTC with its draw from stream 1."""

    __slots__ = ("_params", "n_draws")

    def __init__(self, params: SamplingParams) -> None:
        """Begin with the first number of the stream."""
        self._params = params
        self.n_draws = 0

    def apply(self, candidates: Candidates) -> None:
        """Draw, and leave likely tokens out if it says so; nothing is drawn for a single candidate."""
        if candidates.size < 2:
            return
        chance = uniform(self._params.seed, self.n_draws, 1)
        self.n_draws += 1
        if chance <= self._params.xtc_probability:
            threshold, min_keep = self._params.xtc_threshold, self._params.min_keep
            candidates.keep(xtc_order(candidates.logits, threshold=threshold, min_keep=min_keep))

    def close(self) -> None:
        """Do nothing: nothing is native."""


class LateShift:
    """Penalties or DRY where the request wants them behind a filter."""

    __slots__ = ("_row", "_shift")

    def __init__(self, shift: Shift, *, n_vocab: int) -> None:
        """Make a row in which only the candidates' logits mean something."""
        self._shift = shift
        self._row: Row = np.zeros(n_vocab, dtype=np.float32)

    def apply(self, candidates: Candidates) -> None:
        """Lay the candidates out as a row, shift it, and read them back."""
        ids, row = candidates.ids, self._row
        row[ids] = candidates.logits
        self._shift.shift(row, self._shift.touched())
        candidates.logits[:] = row[ids]
        candidates.array.sorted = False

    def close(self) -> None:
        """Do nothing: nothing is native."""


def filter_chain(params: SamplingParams, names: list[str]) -> FilterChain | None:
    """Build one chain of these filters; ``None`` if all of them are off."""
    filters = native_filters(params)
    wanted = {name: filters[name] for name in names if name in filters}
    has_dynatemp = "temperature" in wanted and params.dynatemp_range > 0.0
    may_forbid = "top_n_sigma" in wanted or has_dynatemp
    return FilterChain(wanted, may_forbid=may_forbid) if wanted else None


def native_filters(params: SamplingParams) -> dict[str, _MakeFilter]:
    """Return how to make each filter that is on, by the name of its stage."""
    p, min_keep = params, max(params.min_keep, 1)  # 0 and 1 mean the same to every filter
    lib = llama_cpp
    filters: dict[str, _MakeFilter] = {}
    if p.top_n_sigma > 0.0:
        filters["top_n_sigma"] = lambda: lib.llama_sampler_init_top_n_sigma(p.top_n_sigma)
    if p.top_k > 0:
        filters["top_k"] = lambda: lib.llama_sampler_init_top_k(p.top_k)
    if p.typical_p < 1.0:
        filters["typical"] = lambda: lib.llama_sampler_init_typical(p.typical_p, min_keep)
    if p.top_p < 1.0:
        filters["top_p"] = lambda: lib.llama_sampler_init_top_p(p.top_p, min_keep)
    if p.min_p > 0.0:
        filters["min_p"] = lambda: lib.llama_sampler_init_min_p(p.min_p, min_keep)
    if p.dynatemp_range > 0.0:
        filters["temperature"] = lambda: lib.llama_sampler_init_temp_ext(
            p.temperature, p.dynatemp_range, p.dynatemp_exponent
        )
    elif p.temperature != 1.0:
        filters["temperature"] = lambda: lib.llama_sampler_init_temp(p.temperature)
    return filters
