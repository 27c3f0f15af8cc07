"""A sampler's record: bytes that are checked, values that are whole."""

import struct

import pytest
from attrs import evolve

from actorllama.errors import StateError
from actorllama.native import SamplerRecord, SamplingParams

RECORD = SamplerRecord(
    params=SamplingParams(
        seed=2**64 - 1, logit_bias={3: -float("inf"), 1: 0.1}, mirostat=2, samplers=("top_k",)
    ),
    n_vocab=100,
    n_draws=7,
    n_xtc_draws=2**40,
    learned=(0.1 + 0.2,),
    recent=(1, 2, 99),
    generated=(5,),
)


def test_a_record_comes_back_from_its_bytes() -> None:
    assert SamplerRecord.from_bytes(RECORD.to_bytes()) == RECORD


def test_a_record_of_the_defaults_is_small() -> None:
    assert len(SamplerRecord(params=SamplingParams(), n_vocab=32_000).to_bytes()) < 1500


@pytest.mark.parametrize("n_kept", [0, 1, 10, 60, -1])
def test_a_cut_record_is_refused(n_kept: int) -> None:
    with pytest.raises(StateError):
        SamplerRecord.from_bytes(RECORD.to_bytes()[:n_kept])


def test_a_record_with_any_flipped_bit_is_refused() -> None:
    whole = RECORD.to_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << (at % 8)
        with pytest.raises(StateError):
            SamplerRecord.from_bytes(bytes(damaged))


def test_a_record_of_another_version_is_refused() -> None:
    data = bytearray(RECORD.to_bytes())
    struct.pack_into("<I", data, 4, 99)
    with pytest.raises(StateError, match="version"):
        SamplerRecord.from_bytes(bytes(data))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (evolve(RECORD, recent=(100,)), "token ids"),
        (evolve(RECORD, learned=()), "learned"),
        (evolve(RECORD, learned=(float("nan"),)), "learned"),
        (evolve(RECORD, params=SamplingParams(top_p=7.0)), "top_p"),
    ],
)
def test_a_record_that_no_sampler_can_have_is_refused(record: SamplerRecord, words: str) -> None:
    with pytest.raises(StateError, match=words):
        SamplerRecord.from_bytes(record.to_bytes())


def test_a_record_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(StateError, match="100 tokens, not of 101"):
        RECORD.checked(n_vocab=101)
