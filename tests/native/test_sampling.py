"""What a request may ask of its sampler, and how it is told otherwise."""

import math

import pytest
from attrs import evolve, fields

from actorllama.errors import RequestError
from actorllama.native.sampling import CHAIN, SamplingParams

N_VOCAB = 1000

WRONG: list[tuple[str, object]] = [
    ("temperature", -0.1),
    ("temperature", math.nan),
    ("temperature", 1e-7),
    ("temperature", "hot"),
    ("temperature", True),
    ("dynatemp_range", -1),
    ("dynatemp_exponent", math.inf),
    ("top_k", -1),
    ("top_k", 1.0),
    ("top_p", 0.0),
    ("top_p", 1.01),
    ("min_p", -0.1),
    ("typical_p", 0),
    ("top_n_sigma", -2),
    ("min_keep", -1),
    ("xtc_probability", 1.1),
    ("xtc_threshold", -0.1),
    ("repeat_penalty", 0.0),
    ("frequency_penalty", 101),
    ("presence_penalty", -101),
    ("penalty_last_n", -2),
    ("dry_multiplier", -1),
    ("dry_base", 0.9),
    ("dry_allowed_length", -1),
    ("dry_penalty_last_n", 1 << 17),
    ("dry_sequence_breakers", ("",)),
    ("dry_sequence_breakers", (1,)),
    ("dry_sequence_breakers", ("x" * 41,)),
    ("dry_sequence_breakers", ("\0",)),
    ("dry_sequence_breakers", ("\ud800",)),
    ("dry_sequence_breakers", ("x",) * 65),
    ("mirostat", 3),
    ("mirostat_tau", -1),
    ("mirostat_eta", 2),
    ("adaptive_target", 1.5),
    ("adaptive_decay", 1.0),
    ("samplers", ("top_q",)),
    ("samplers", "top_k, top_p"),
    ("samplers", ("top_k", "top_k")),
    ("samplers", 5),
    ("seed", -1),
    ("seed", 2**64),
    ("seed", 10**400),
    ("logit_bias", {N_VOCAB: 1.0}),
    ("logit_bias", {1: math.inf}),
    ("logit_bias", {1: "x"}),
    ("logit_bias", {"1": 1.0}),
    ("logit_bias", [1, 2]),
    ("grammar", 'root ::= "a'),
    ("grammar", 7),
    ("json_schema", {"type": "strin"}),
    ("json_schema", {"enum": {1}}),
    ("json_schema", 7),
    ("regex", "("),
    ("choice", ()),
    ("choice", ("",)),
    ("grammar_triggers", ("a",)),
    ("grammar_triggers", ("",)),
    ("grammar_trigger_patterns", ("a*",)),
    ("grammar_trigger_tokens", (N_VOCAB,)),
    ("grammar_trigger_tokens", 3.5),
    ("logprobs", 21),
    ("logprobs", True),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda value: str(value)[:20])
def test_what_is_out_of_bounds_is_refused_by_name_and_value(field: str, value: object) -> None:
    with pytest.raises(RequestError) as caught:
        evolve(SamplingParams(), **{field: value}).checked(n_vocab=N_VOCAB)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_every_parameter_has_a_wrong_value_here() -> None:
    """So that a new one cannot be forgotten in ``checked``."""
    assert {one.name for one in fields(SamplingParams)} - {field for field, _ in WRONG} == set()


def test_defaults_pass_and_come_back_unchanged() -> None:
    params = SamplingParams()
    assert params.checked(n_vocab=N_VOCAB) is params


def test_mirostat_and_adaptive_p_cannot_both_draw() -> None:
    with pytest.raises(RequestError, match="mirostat draws already"):
        SamplingParams(mirostat=1, adaptive_target=0.5).checked(n_vocab=N_VOCAB)


def test_a_chain_may_be_a_list_and_is_kept_as_a_tuple() -> None:
    params = SamplingParams(samplers=["temperature", "top_k"])
    assert params.checked(n_vocab=N_VOCAB).samplers == ("temperature", "top_k")


def test_the_chain_names_every_stage_once() -> None:
    assert len(CHAIN) == len(set(CHAIN)) == 9


@pytest.mark.parametrize(
    ("params", "is_greedy"),
    [
        (SamplingParams(temperature=0), True),
        (SamplingParams(temperature=0, mirostat=2), True),
        (SamplingParams(temperature=0, samplers=("top_k",)), False),
        (SamplingParams(temperature=0, dynatemp_range=0.5), False),
        (SamplingParams(), False),
    ],
)
def test_temperature_0_is_greedy_where_temperature_applies(params: SamplingParams, is_greedy: bool) -> None:
    assert params.is_greedy is is_greedy
