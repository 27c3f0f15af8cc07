"""Our own stages give what llama.cpp's give: same candidates, same logits, same steering."""

# llama_cpp's hints name ctypes classes where plain integers and references pass:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import ctypes
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import llama_cpp
import numpy as np
import pytest

from actorllama.demo import model_path
from actorllama.native import ModelOptions
from actorllama.native.llama.backend import LlamaBackend
from actorllama.native.llama.model import LlamaModel
from actorllama.native.llama.sampler_tools import SamplerTools
from actorllama.native.sampler_dry import DryShift
from actorllama.native.sampler_pickers import AdaptivePicker, Mirostat1Picker, Mirostat2Picker
from actorllama.native.sampler_shifts import PenaltyShift, Row, Shift
from actorllama.native.sampler_xtc import xtc_order
from actorllama.native.sampling import SamplingParams

N_VOCAB = 300
_RECORD = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaModel]:
    loaded = LlamaBackend().load(model_path(), ModelOptions(n_gpu_layers=0), lambda _: True)
    assert isinstance(loaded, LlamaModel)
    yield loaded
    loaded.close()


def random_row(seed: int, *, n: int = N_VOCAB, scale: float = 3.0) -> Row:
    return (np.random.default_rng(seed).standard_normal(n) * scale).astype(np.float32)


class Native:
    """One sampler of llama.cpp, applied to whole rows."""

    def __init__(self, handle: object) -> None:
        assert handle
        self.handle = handle
        self.array = llama_cpp.llama_token_data_array()
        self.records = np.zeros(0, dtype=_RECORD)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        llama_cpp.llama_sampler_free(self.handle)

    def accept(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            llama_cpp.llama_sampler_accept(self.handle, token)

    def apply(self, row: Row) -> None:
        self.records = np.zeros(len(row), dtype=_RECORD)
        self.records["id"] = np.arange(len(row))
        self.records["logit"] = row
        data = ctypes.cast(self.records.ctypes.data, llama_cpp.llama_token_data_p)
        self.array = llama_cpp.llama_token_data_array(data=data, size=len(row), selected=-1, sorted=False)
        llama_cpp.llama_sampler_apply(self.handle, ctypes.byref(self.array))
        first = (ctypes.addressof(self.array.data.contents) - self.records.ctypes.data) // _RECORD.itemsize
        self.records = self.records[first : first + self.array.size]

    def logits(self) -> Row:
        """Return the logits by token id; what was dropped is -inf."""
        row = np.full(N_VOCAB, -np.inf, dtype=np.float32)
        row[self.records["id"]] = self.records["logit"]
        return row

    @property
    def selected(self) -> int:
        return int(self.records["id"][self.array.selected])


def shifted(shift: Shift, row: Row) -> Row:
    row = row.copy()
    shift.shift(row, shift.touched())
    return row


# -- penalties -------------------------------------------------------------------------------------


@pytest.mark.parametrize("last_n", [1, 5, 64])
def test_penalties_give_the_logits_of_llama_cpp(last_n: int) -> None:
    draws = np.random.default_rng(last_n)
    text = [int(token) for token in draws.integers(0, 40, size=120)]
    with Native(llama_cpp.llama_sampler_init_penalties(N_VOCAB, last_n, 1.3, 0.2, 0.4)) as native:
        native.accept(text[:50])
        ours = PenaltyShift(repeat=1.3, frequency=0.2, presence=0.4, last_n=last_n, history=text[:50])
        for step, token in enumerate(text[50:]):
            row = random_row(step)
            native.apply(row)
            np.testing.assert_allclose(shifted(ours, row), native.logits(), rtol=3e-6, atol=1e-6)
            native.accept([token])
            ours.remember(token)


# -- DRY -------------------------------------------------------------------------------------------


def dry_pair(
    model: LlamaModel, *, allowed: int, last_n: int, breakers: tuple[str, ...], base: float = 1.75
) -> tuple[Native, Callable[[Sequence[int]], DryShift]]:
    texts = (ctypes.c_char_p * max(len(breakers), 1))(*[text.encode() for text in breakers])
    vocab = llama_cpp.llama_model_get_vocab(model._handle)
    handle = llama_cpp.llama_sampler_init_dry(vocab, 0.8, base, allowed, last_n, texts, len(breakers))
    tools = SamplerTools(n_vocab=model.facts.n_vocab, vocab=vocab)

    def ours(history: Sequence[int]) -> DryShift:
        return DryShift(
            multiplier=0.8,
            base=base,
            allowed_length=allowed,
            last_n=last_n,
            breakers=tools.breakers(breakers),
            history=history,
        )

    return Native(handle), ours


BREAKERS = [(), ("\n", ":", '"', "*"), ("the", "\n\n", "and so"), ("e", " a")]


@pytest.mark.parametrize("breakers", BREAKERS, ids=len)
@pytest.mark.parametrize(("allowed", "last_n"), [(2, 64), (0, 9), (1, 5), (5, 200), (2, 3)])
def test_dry_gives_the_logits_of_llama_cpp(
    model: LlamaModel, allowed: int, last_n: int, breakers: tuple[str, ...]
) -> None:
    n_vocab = model.facts.n_vocab
    draws = np.random.default_rng(allowed * 1000 + last_n)
    # Few different tokens, so that they repeat; among them ones that breakers begin or end in.
    few = [int(token) for token in draws.integers(3, n_vocab, size=6)]
    text = [few[int(i)] for i in (draws.integers(0, 36, size=150) ** 0.5)]
    native, make = dry_pair(model, allowed=allowed, last_n=last_n, breakers=breakers)
    with native:
        native.accept(text[:20])
        ours = make(text[:20])
        for step, token in enumerate(text[20:]):
            row = random_row(step, n=n_vocab)
            native.apply(row)
            expected = np.full(n_vocab, -np.inf, dtype=np.float32)
            expected[native.records["id"]] = native.records["logit"]
            np.testing.assert_allclose(shifted(ours, row), expected, rtol=1e-6, atol=1e-6)
            native.accept([token])
            ours.remember(token)


def test_dry_never_takes_more_than_float32_holds(model: LlamaModel) -> None:
    native, make = dry_pair(model, allowed=1, last_n=300, breakers=(), base=3.0)
    with native:
        native.accept([7] * 250)
        native.apply(random_row(0, n=model.facts.n_vocab))
        lowered = shifted(make([7] * 250), random_row(0, n=model.facts.n_vocab))
        assert lowered[7] == pytest.approx(native.records["logit"][7], rel=1e-5)


# -- XTC -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.01, 0.05, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("min_keep", [0, 1, 3, 298])
def test_xtc_keeps_what_llama_cpp_keeps(threshold: float, min_keep: int) -> None:
    with Native(llama_cpp.llama_sampler_init_xtc(1.0, threshold, min_keep, 1)) as native:
        for seed in range(20):
            row = random_row(seed, scale=0.5 + seed / 4)
            native.apply(row)
            ours = xtc_order(row, threshold=threshold, min_keep=min_keep)
            assert ours.tolist() == native.records["id"].tolist()


# -- mirostat --------------------------------------------------------------------------------------


def steer(native: Native, ours: Mirostat2Picker, n_differing: int) -> None:
    """Feed ours the token that llama.cpp drew; the candidates of both show where mu stands."""
    differing = 0
    for step in range(60):
        row = random_row(step, scale=2.0)
        native.apply(row)
        kept = ours.kept(row.astype(np.float64))
        differing += abs(len(kept) - len(native.records))
        token = native.selected
        left = row[kept].astype(np.float64)
        surprise = np.log2(np.exp(left - row[token]).sum())
        assert surprise == pytest.approx(-np.log2(native.records["p"][native.array.selected]), abs=0.05)
        ours.learn(float(surprise))
    assert differing <= n_differing


def test_mirostat_2_steers_as_llama_cpp_does() -> None:
    with Native(llama_cpp.llama_sampler_init_mirostat_v2(3, 4.0, 0.3)) as native:
        steer(native, Mirostat2Picker(tau=4.0, eta=0.3), n_differing=1)


def test_mirostat_1_steers_as_llama_cpp_does() -> None:
    with Native(llama_cpp.llama_sampler_init_mirostat(N_VOCAB, 3, 4.0, 0.3, 100)) as native:
        steer(native, Mirostat1Picker(tau=4.0, eta=0.3, n_vocab=N_VOCAB), n_differing=2)


@pytest.mark.parametrize("logits", [[1.0], [2.0, 2.0], [0.0] * 50, [50.0, -50.0], [3.0, 3.0, -400.0]])
def test_mirostat_1_has_an_answer_where_its_formula_has_none(logits: list[float]) -> None:
    picker = Mirostat1Picker(tau=5.0, eta=0.1, n_vocab=1000)
    index, surprise = picker.pick(np.array(logits), 0.999)
    assert 0 <= index < len(logits)
    assert np.isfinite(surprise)


# -- adaptive-p ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "decay"), [(0.0, 0.9), (0.3, 0.5), (0.7, 0.99), (1.0, 0.0)])
def test_adaptive_p_gives_the_logits_of_llama_cpp(target: float, decay: float) -> None:
    ours = AdaptivePicker(target=target, decay=decay)
    with Native(llama_cpp.llama_sampler_init_adaptive_p(target, decay, 5)) as native:
        for step in range(50):
            row = random_row(step, n=20, scale=2.0)
            native.apply(row)
            probabilities = np.exp(row.astype(np.float64))
            probabilities /= probabilities.sum()
            np.testing.assert_allclose(
                ours.transformed(probabilities), native.records["logit"], rtol=1e-3, atol=1e-3
            )
            ours.learn(float(probabilities[native.selected]))
            native.accept([native.selected])


# -- defaults --------------------------------------------------------------------------------------


def test_the_defaults_are_llama_cpp_s() -> None:
    """Against ``common_params_sampling`` of common/common.h, which the library does not export."""
    params = SamplingParams()
    assert params.samplers == (
        *("penalties", "dry", "top_n_sigma", "top_k", "typical", "top_p", "min_p", "xtc", "temperature"),
    )
    assert (params.temperature, params.top_k, params.top_p, params.min_p, params.typical_p) == (
        *(0.8, 40, 0.95, 0.05, 1.0),
    )
    assert (params.dry_base, params.dry_allowed_length, params.dry_penalty_last_n) == (1.75, 2, 64)
    assert params.dry_sequence_breakers == ("\n", ":", '"', "*")
    assert (params.mirostat_tau, params.mirostat_eta, params.adaptive_decay) == (5.0, 0.1, 0.9)
    assert (params.xtc_probability, params.xtc_threshold, params.penalty_last_n) == (0.0, 0.1, 64)
