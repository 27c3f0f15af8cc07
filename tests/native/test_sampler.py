"""The sampler of a turn: its choices, its stages' order, its record."""

# llama_cpp's hints name ctypes classes where plain integers and references pass:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import ctypes
import json
import re

import llama_cpp
import numpy as np
import pytest
from attrs import evolve

from actorllama.errors import StateError
from actorllama.native import SamplerRecord, SamplingParams
from actorllama.native.grammar_mask import TokenTexts
from actorllama.native.llama.sampler import LlamaSampler
from actorllama.native.llama.sampler_tools import SamplerTools
from actorllama.native.sampler_shifts import Row

N_VOCAB = 512
_RECORD = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])

FULL = SamplingParams(
    seed=5,
    repeat_penalty=1.2,
    frequency_penalty=0.1,
    penalty_last_n=20,
    dry_multiplier=0.8,
    xtc_probability=0.5,
    xtc_threshold=0.05,
    typical_p=0.95,
    logit_bias={3: 2.0, 4: -float("inf")},
)


def rows(n: int, *, seed: int = 0, n_vocab: int = N_VOCAB) -> list[Row]:
    draws = np.random.default_rng(seed)
    return [(draws.standard_normal(n_vocab) * 2.5).astype(np.float32) for _ in range(n)]


def sampler(
    params: SamplingParams, history: list[int] | None = None, *, n_vocab: int = N_VOCAB
) -> LlamaSampler:
    return LlamaSampler(params.checked(n_vocab=n_vocab), history or [], tools=SamplerTools(n_vocab=n_vocab))


def test_a_row_is_as_it_was_after_choosing() -> None:
    chooser = sampler(FULL, [1, 2, 3, 1, 2])
    for row in rows(20):
        before = row.copy()
        chooser.choose(row)
        np.testing.assert_array_equal(before, row)
    chooser.close()


def test_the_same_seed_chooses_the_same_tokens_and_another_does_not() -> None:
    def tokens(seed: int) -> list[int]:
        chooser = sampler(evolve(FULL, seed=seed))
        chosen = [chooser.choose(row) for row in rows(40)]
        chooser.close()
        return chosen

    assert tokens(1) == tokens(1)
    assert tokens(1) != tokens(2)


def test_a_forbidden_token_is_never_chosen() -> None:
    params = SamplingParams(logit_bias={token: -float("inf") for token in range(1, N_VOCAB)}, top_k=0)
    for one in (
        params,
        evolve(params, top_k=40),
        evolve(params, temperature=0.0),
        evolve(params, mirostat=2),
    ):
        chooser = sampler(one)
        assert [chooser.choose(row) for row in rows(5)] == [0] * 5
        chooser.close()


def test_nan_and_infinite_logits_do_not_reach_the_filters() -> None:
    chooser = sampler(SamplingParams())
    row = rows(1)[0]
    row[::2] = np.nan
    row[1] = -np.inf
    assert all(np.isfinite(row[chooser.choose(row)]) for _ in range(20))
    chooser.choose(np.full(N_VOCAB, np.nan, dtype=np.float32))
    chooser.close()


def test_a_closed_sampler_says_so() -> None:
    chooser = sampler(SamplingParams())
    chooser.close()
    chooser.close()
    with pytest.raises(StateError, match="closed"):
        chooser.choose(rows(1)[0])


def survivors(params: SamplingParams, row: Row) -> dict[int, float]:
    """Ask llama.cpp's own samplers, in the order of the request, what is left and how likely."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    make = {
        "top_n_sigma": lambda: llama_cpp.llama_sampler_init_top_n_sigma(params.top_n_sigma),
        "top_k": lambda: llama_cpp.llama_sampler_init_top_k(params.top_k),
        "typical": lambda: llama_cpp.llama_sampler_init_typical(params.typical_p, 0),
        "top_p": lambda: llama_cpp.llama_sampler_init_top_p(params.top_p, 0),
        "min_p": lambda: llama_cpp.llama_sampler_init_min_p(params.min_p, 0),
        "xtc": lambda: llama_cpp.llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, 0, 1),
        "temperature": lambda: llama_cpp.llama_sampler_init_temp_ext(
            params.temperature, params.dynatemp_range, params.dynatemp_exponent
        ),
    }
    for name in params.samplers:
        if name in make:
            llama_cpp.llama_sampler_chain_add(chain, make[name]())
    records = np.zeros(len(row), dtype=_RECORD)
    records["id"], records["logit"] = np.arange(len(row)), row
    data = ctypes.cast(records.ctypes.data, llama_cpp.llama_token_data_p)
    array = llama_cpp.llama_token_data_array(data=data, size=len(row), selected=-1, sorted=False)
    llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
    llama_cpp.llama_sampler_free(chain)
    left = [(array.data[i].id, array.data[i].logit) for i in range(array.size)]
    weights = np.exp(np.array([logit for _, logit in left]) - max(logit for _, logit in left))
    weights = weights / weights.sum()
    return {token: float(p) for (token, _), p in zip(left, weights, strict=True) if p > 0}


CHAINS = [
    SamplingParams(),
    SamplingParams(xtc_probability=1.0, xtc_threshold=0.05),
    SamplingParams(top_n_sigma=1.0),
    SamplingParams(typical_p=0.6),
    SamplingParams(top_k=0, min_p=0.0, top_p=0.5),
    SamplingParams(top_k=200, top_p=1.0, min_p=0.0),
    SamplingParams(dynatemp_range=0.5, dynatemp_exponent=1.5),
    SamplingParams(samplers=("temperature", "min_p", "top_k"), temperature=1.7),
    SamplingParams(samplers=("min_p", "xtc", "top_k", "temperature"), xtc_probability=1.0),
    SamplingParams(samplers=("xtc",), xtc_probability=1.0, xtc_threshold=0.01),
    SamplingParams(samplers=("top_k",), top_k=3),
]


@pytest.mark.parametrize("params", CHAINS, ids=range(len(CHAINS)))
def test_what_may_be_chosen_is_what_llama_cpp_leaves_and_as_often(params: SamplingParams) -> None:
    row = rows(1, seed=9)[0]
    expected = survivors(params, row)
    chooser = sampler(params)
    n = 600
    chosen = [chooser.choose(row) for _ in range(n)]
    chooser.close()
    for token, p in expected.items():
        # Five standard deviations: the draws are fixed, so that this passes always or never.
        assert chosen.count(token) == pytest.approx(n * p, abs=5 * (n * p * (1 - p)) ** 0.5 + 1)
    assert set(chosen) <= set(expected)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(samplers=("top_n_sigma", "xtc"), xtc_probability=1.0, xtc_threshold=0.0),
        SamplingParams(samplers=("top_n_sigma",), adaptive_target=0.0),
        SamplingParams(samplers=("top_n_sigma", "typical"), typical_p=0.9),
        SamplingParams(samplers=("temperature",), temperature=0.0, dynatemp_range=0.5, adaptive_target=0.0),
    ],
    ids=["xtc", "adaptive_p", "typical", "dynatemp"],
)
def test_what_a_filter_forbids_in_place_is_gone_for_the_next_stage(params: SamplingParams) -> None:
    row = np.zeros(N_VOCAB, dtype=np.float32)
    row[7] = 200.0  # everything else is far below one standard deviation, and there is no entropy
    chooser = sampler(evolve(params, top_n_sigma=1.0))
    assert {chooser.choose(row) for _ in range(20)} == {7}
    chooser.close()


def test_a_dynamic_temperature_near_0_is_no_trouble() -> None:
    chooser = sampler(SamplingParams(temperature=0.0, dynatemp_range=1e-6, dynatemp_exponent=30.0))
    for row in rows(20):
        assert chooser.choose(row) == row.argmax()
    chooser.close()


def test_penalties_behind_a_filter_act_on_what_it_left() -> None:
    row = np.zeros(N_VOCAB, dtype=np.float32)
    row[:3] = (5.0, 4.9, 4.8)
    early = SamplingParams(samplers=("penalties", "top_k", "temperature"), top_k=2, presence_penalty=50.0)
    late = evolve(early, samplers=("top_k", "penalties", "temperature"))
    ahead, behind = sampler(early, [0, 1]), sampler(late, [0])
    assert ahead.choose(row) == 2  # 0 and 1 are lowered before two are kept
    assert behind.choose(row) == 1  # of 0 and 1, which were kept, 0 is lowered
    ahead.close()
    behind.close()


RECORDED = [
    FULL,
    SamplingParams(seed=1),
    SamplingParams(temperature=0.0, repeat_penalty=1.5, penalty_last_n=-1),
    SamplingParams(mirostat=1, temperature=1.2),
    SamplingParams(mirostat=2, mirostat_eta=0.5),
    SamplingParams(adaptive_target=0.4, adaptive_decay=0.5, min_p=0.02),
    SamplingParams(dry_multiplier=1.0, dry_penalty_last_n=-1, dry_allowed_length=1, top_k=5),
    evolve(FULL, samplers=("top_k", "xtc", "dry", "min_p", "penalties", "temperature")),
]


@pytest.mark.parametrize("params", RECORDED, ids=range(len(RECORDED)))
def test_a_sampler_made_from_a_record_goes_on_with_the_same_tokens(params: SamplingParams) -> None:
    given = rows(60, n_vocab=40)
    params = evolve(params, dry_sequence_breakers=())
    whole = sampler(params, [1, 2, 3, 4, 1, 2, 3], n_vocab=40)
    tokens = [whole.choose(row) for row in given]
    for stop in (0, 1, 17, 59):
        first = sampler(params, [1, 2, 3, 4, 1, 2, 3], n_vocab=40)
        before = [first.choose(row) for row in given[:stop]]
        data = first.record().to_bytes()
        first.close()
        second = LlamaSampler.from_record(SamplerRecord.from_bytes(data), tools=SamplerTools(n_vocab=40))
        assert before + [second.choose(row) for row in given[stop:]] == tokens
        assert second.record() == whole.record()
        second.close()
    whole.close()


def test_a_record_keeps_no_more_tokens_than_the_stages_look_at() -> None:
    chooser = sampler(SamplingParams(repeat_penalty=1.1, penalty_last_n=5), list(range(300)))
    assert chooser.record().recent == (295, 296, 297, 298, 299)
    chooser.close()
    plain = sampler(SamplingParams(), list(range(300)))
    assert plain.record().recent == ()
    plain.close()


def test_a_record_of_another_vocabulary_is_refused() -> None:
    chooser = sampler(SamplingParams())
    with pytest.raises(StateError, match="vocabulary"):
        LlamaSampler.from_record(chooser.record(), tools=SamplerTools(n_vocab=N_VOCAB + 1))
    chooser.close()


# -- grammars --------------------------------------------------------------------------------------

PIECES = [bytes([code]) for code in range(256)] + [b"abc", b'"}', b"</s>", b""]
END = 258


def texts() -> SamplerTools:
    return SamplerTools(n_vocab=len(PIECES), texts=TokenTexts(PIECES, [END]))


def write(params: SamplingParams, *, n: int = 200, tools: SamplerTools | None = None) -> bytes:
    """Let a sampler write from random logits until it ends."""
    chooser = LlamaSampler(params.checked(n_vocab=len(PIECES)), [], tools=tools or texts())
    written = b""
    for row in rows(n, seed=params.seed, n_vocab=len(PIECES)):
        token = chooser.choose(row)
        if token == END:
            break
        written += PIECES[token]
    chooser.close()
    return written


@pytest.mark.parametrize("seed", range(5))
def test_a_text_that_ends_is_what_the_constraint_asked_for(seed: int) -> None:
    assert write(SamplingParams(seed=seed, choice=("yes", "no"))) in {b"yes", b"no"}
    assert re.fullmatch(rb"\d{3}-[a-c]{2,5}", write(SamplingParams(seed=seed, regex=r"\d{3}-[a-c]{2,5}")))
    schema: dict[str, object] = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert set(json.loads(write(SamplingParams(seed=seed, json_schema=schema, temperature=0.0)))) == {"n"}
    assert write(SamplingParams(seed=seed, grammar='root ::= "abc"+ "\\"}"', mirostat=2)).startswith(b"abc")


def test_a_choice_that_the_grammar_allows_is_not_drawn_again() -> None:
    plain = sampler(SamplingParams(), n_vocab=len(PIECES))
    held = SamplingParams(grammar="root ::= [\\x01-\\U0010FFFF]*")
    chooser = LlamaSampler(held, [], tools=texts())
    for row in rows(30, n_vocab=len(PIECES)):
        row[128:256] = row[END:] = row[0] = -30.0
        assert chooser.choose(row) == plain.choose(row)
    assert chooser.n_draws == plain.n_draws == 30
    chooser.close()
    plain.close()


def test_what_the_grammar_rejects_is_drawn_again_with_the_next_number() -> None:
    chooser = LlamaSampler(SamplingParams(grammar='root ::= "a"+'), [], tools=texts())
    row = np.zeros(len(PIECES), dtype=np.float32)
    row[ord("b")] = 50.0
    assert chooser.choose(row) == ord("a")
    assert chooser.n_draws == 2
    chooser.close()


def test_a_vocabulary_that_cannot_spell_the_grammar_ends_the_turn() -> None:
    tools = SamplerTools(n_vocab=2, texts=TokenTexts([b"a", b"</s>"], [1]))
    chooser = LlamaSampler(SamplingParams(grammar='root ::= "ab"'), [], tools=tools)
    row = np.zeros(2, dtype=np.float32)
    assert (chooser.choose(row), chooser.is_stuck) == (0, False)
    assert (chooser.choose(row), chooser.is_stuck) == (1, True)
    chooser.close()


def test_a_grammar_does_not_read_what_it_forbids() -> None:
    chooser = LlamaSampler(SamplingParams(grammar='root ::= "ab"'), [], tools=texts())
    with pytest.raises(StateError, match="does not allow"):
        chooser.accept(ord("b"))
    chooser.accept(ord("a"))
    assert chooser.record().generated == (ord("a"),)
    chooser.close()


def test_a_lazy_grammar_holds_from_its_trigger_on() -> None:
    params = SamplingParams(grammar='root ::= "<t>" [0-9]{2}', grammar_triggers=["<t>"])
    chooser = LlamaSampler(params.checked(n_vocab=len(PIECES)), [], tools=texts())
    for character in b"x<t<t>":
        chooser.accept(character)
    row = np.zeros(len(PIECES), dtype=np.float32)
    assert all(chr(chooser.choose(row)).isdigit() for _ in range(2))
    assert chooser.choose(row) == END
    chooser.close()


@pytest.mark.parametrize(
    ("params", "text", "holds"),
    [
        (SamplingParams(regex="<t>a+", grammar_trigger_patterns=["<[st]>"]), b"..<s>..", False),
        (SamplingParams(regex="<t>a+", grammar_trigger_patterns=["<[st]>"]), b"..<t>", True),
        (SamplingParams(regex="<t>a+", grammar_trigger_patterns=["<[st]>"]), b"<s><t>", True),
        (SamplingParams(regex="a+", grammar_trigger_tokens=[257]), b'x"}', True),
        (SamplingParams(regex='"}a+', grammar_trigger_tokens=[257]), b'x"}', True),
        (SamplingParams(regex="a+", grammar_trigger_tokens=[259]), b"", False),
    ],
)
def test_a_trigger_counts_if_the_grammar_can_go_on_from_it(
    params: SamplingParams, text: bytes, holds: bool
) -> None:
    tools = texts()
    turn = tools.grammar_turn(params.checked(n_vocab=len(PIECES)).constraint)
    assert turn is not None
    while text:
        token = 257 if text.startswith(b'"}') else text[0]
        turn.accept(token)
        text = text[len(PIECES[token]) :]
    assert turn.is_waiting is not holds
    assert turn.allows(ord("b")) is not holds
    assert turn.allows(ord("a"))


GRAMMATICAL = [
    evolve(FULL, regex="[a-f ]{5,40}"),
    SamplingParams(grammar='root ::= "(" root ")" root | [x-z]', seed=3),
    SamplingParams(json_schema={"type": "object"}, mirostat=1),
    SamplingParams(regex="q[0-9]{4}", grammar_triggers=["q"], seed=2),
    SamplingParams(choice=("abcabc", "abd"), temperature=0.0),
]


@pytest.mark.parametrize("params", GRAMMATICAL, ids=range(len(GRAMMATICAL)))
def test_a_grammar_goes_on_from_a_record_as_if_it_had_never_stopped(params: SamplingParams) -> None:
    n = len(PIECES)
    params = evolve(params, dry_sequence_breakers=())
    given = rows(40, n_vocab=n)
    for row in given:
        row[ord("q")] += 4.0
    whole = LlamaSampler(params.checked(n_vocab=n), [1, 2], tools=texts())
    tokens = [whole.choose(row) for row in given]
    tokens = tokens[: tokens.index(END) + 1] if END in tokens else tokens
    for stop in range(0, len(tokens), 5):
        first = LlamaSampler(params, [1, 2], tools=texts())
        before = [first.choose(row) for row in given[:stop]]
        record = SamplerRecord.from_bytes(first.record().to_bytes())
        second = LlamaSampler.from_record(record, tools=texts())
        assert before + [second.choose(row) for row in given[stop : len(tokens)]] == tokens
        first.close()
        second.close()
    whole.close()


def test_a_record_whose_tokens_its_grammar_forbids_is_refused() -> None:
    record = SamplerRecord(params=SamplingParams(regex="a+"), n_vocab=len(PIECES), generated=(ord("b"),))
    with pytest.raises(StateError):
        LlamaSampler.from_record(record, tools=texts())
