"""A sampler saved anywhere and made anew chooses as if it had never been away."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actorllama.errors import StateError
from actorllama.native import SamplerRecord, SamplingParams
from actorllama.native.grammar_mask import TokenTexts
from actorllama.native.llama.sampler import LlamaSampler
from actorllama.native.llama.sampler_tools import SamplerTools
from actorllama.native.sampler_shifts import Row
from actorllama.native.sampling import CHAIN

PIECES = [bytes([code]) for code in range(32, 127)] + [b"ab", b'":', b"</s>", b""]
N_VOCAB = len(PIECES)
END = PIECES.index(b"</s>")

probability = st.floats(0.0, 1.0)
above_zero = st.floats(0.01, 1.0)


def now_and_then(strategy: st.SearchStrategy[float], off: float) -> st.SearchStrategy[float]:
    return st.just(off) | strategy


@st.composite
def constraints(draw: st.DrawFn) -> dict[str, object]:
    """None mostly, else one of each kind, lazy or not."""
    kinds: list[dict[str, object]] = [
        {"regex": "[a-z ]*(ab){1,3}[0-9]?"},
        {"grammar": 'root ::= "(" root ")" root | "[" root "]" | [a-f]*'},
        {"json_schema": {"properties": {"a": {"type": "integer"}, "b": {"items": {"const": "x"}}}}},
        {"choice": ("abcab", "abd", "~")},
    ]
    is_lazy = draw(st.booleans())
    chosen = dict(draw(st.sampled_from([{}, {}, *kinds])))
    if chosen and is_lazy:
        chosen["grammar_trigger_patterns"] = ["[(~{a]"]
    return chosen


@st.composite
def samplings(draw: st.DrawFn) -> SamplingParams:
    ways: list[dict[str, object]] = [
        {},
        {},
        {"mirostat": 1, "mirostat_eta": draw(probability)},
        {"mirostat": 2, "mirostat_tau": draw(st.floats(0.1, 9.0))},
        {"adaptive_target": draw(probability), "adaptive_decay": draw(st.floats(0.0, 0.99))},
    ]
    return SamplingParams(
        temperature=draw(now_and_then(st.floats(0.1, 3.0), 0.0)),
        dynatemp_range=draw(now_and_then(st.floats(0.1, 1.0), 0.0)),
        top_k=draw(st.sampled_from([0, 1, 3, 40])),
        top_p=draw(above_zero),
        min_p=draw(probability),
        typical_p=draw(now_and_then(above_zero, 1.0)),
        top_n_sigma=draw(now_and_then(st.floats(0.1, 4.0), 0.0)),
        min_keep=draw(st.integers(0, 3)),
        xtc_probability=draw(now_and_then(probability, 0.0)),
        xtc_threshold=draw(st.floats(0.0, 0.5)),
        repeat_penalty=draw(now_and_then(st.floats(0.5, 2.0), 1.0)),
        frequency_penalty=draw(st.floats(-1.0, 1.0)),
        penalty_last_n=draw(st.integers(-1, 30)),
        dry_multiplier=draw(now_and_then(st.floats(0.1, 3.0), 0.0)),
        dry_base=draw(st.floats(1.0, 3.0)),
        dry_allowed_length=draw(st.integers(0, 4)),
        dry_penalty_last_n=draw(st.integers(-1, 30)),
        samplers=draw(
            st.permutations(CHAIN).flatmap(lambda names: st.integers(0, 9).map(lambda n: names[:n]))
        ),
        seed=draw(st.integers(0, 2**64 - 1)),
        logit_bias=draw(
            st.dictionaries(st.integers(0, N_VOCAB - 1), st.just(-np.inf) | st.floats(-5, 5), max_size=4)
        ),
        **draw(st.sampled_from(ways)),  # type: ignore[arg-type]
        **draw(constraints()),  # type: ignore[arg-type]
    ).checked(n_vocab=N_VOCAB)


def tools() -> SamplerTools:
    return SamplerTools(n_vocab=N_VOCAB, texts=TokenTexts(PIECES, [END]))


def rows_of(seed: int, n: int) -> list[Row]:
    draws = np.random.default_rng(seed)
    # Few levels, so that some logits are equal.
    return [(draws.integers(-12, 13, size=N_VOCAB) / 3).astype(np.float32) for _ in range(n)]


@given(
    params=samplings(),
    seed=st.integers(0, 1000),
    history=st.lists(st.integers(0, 9), max_size=40),
    stops=st.lists(st.integers(1, 30), max_size=3),
)
def prop_a_saved_sampler_goes_on_as_the_unbroken_one(
    params: SamplingParams, seed: int, history: list[int], stops: list[int]
) -> None:
    rows = rows_of(seed, 30)
    whole, broken = (LlamaSampler(params, history, tools=tools()) for _ in range(2))
    for at, row in enumerate(rows):
        if at in stops:
            data = broken.record().to_bytes()
            broken.close()
            broken = LlamaSampler.from_record(SamplerRecord.from_bytes(data), tools=tools())
        before = row.copy()
        token = whole.choose(row)
        np.testing.assert_array_equal(row, before)
        assert broken.choose(row) == token
        assert broken.record() == whole.record()
        if token == END:
            break
    whole.close()
    broken.close()


@given(data=st.binary(max_size=300), at=st.integers(0, 400), params=samplings())
def prop_bytes_that_are_no_record_are_refused(data: bytes, at: int, params: SamplingParams) -> None:
    """Whatever is put over a record's bytes: it is that record, or it is refused as one."""
    whole = SamplerRecord(
        params=params,
        n_vocab=N_VOCAB,
        learned=(1.0,) * params.n_learned,
        recent=(1, 2, 3),
    ).to_bytes()
    damaged = whole[:at] + data + whole[at + len(data) :]
    if damaged == whole:
        assert SamplerRecord.from_bytes(damaged).to_bytes() == whole
        return
    try:
        SamplerRecord.from_bytes(damaged)
    except StateError:
        return
    raise AssertionError("a damaged record was read")
