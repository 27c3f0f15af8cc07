"""What one turn asks for is checked as a whole, before it waits in a queue or reaches C."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import thread_time
from typing import TypedDict, Unpack

import pytest

from actorllama.engine import TurnRequest, check_request
from actorllama.errors import ContextFull, RequestError
from actorllama.native import ContextOptions, ModelOptions, SamplingParams
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import N_VOCAB

CTX = 32


class Given(TypedDict, total=False):
    """What a test gives instead of something good."""

    prompt: Sequence[int]
    sampling: SamplingParams
    max_tokens: int | None
    stop: str | Sequence[str]


def check(backend: FakeBackend, **given: Unpack[Given]) -> TurnRequest:
    model = backend.load(Path("x"), ModelOptions(), lambda _: True)
    context = model.open_context(ContextOptions(ctx_per_seq=CTX))
    try:
        return check_request(
            prompt=given.get("prompt", [1, 2]),
            sampling=given.get("sampling", SamplingParams()),
            max_tokens=given.get("max_tokens", 5),
            stop=given.get("stop", ()),
            vocabulary=model.vocabulary,
            context=context.facts,
        )
    finally:
        context.close()
        model.close()


def test_a_good_request_is_passed_on_as_values(fake_backend: FakeBackend) -> None:
    request = check(fake_backend, prompt=[1, 2, 3], stop=["a", "b"])

    assert request == TurnRequest(prompt=(1, 2, 3), sampling=SamplingParams(), max_tokens=5, stop=("a", "b"))


def test_a_single_stop_string_is_one_stop_and_not_its_letters(fake_backend: FakeBackend) -> None:
    assert check(fake_backend, stop="stop").stop == ("stop",)


@pytest.mark.parametrize("n_tokens", [1, CTX - 1])
def test_a_prompt_fits_if_one_token_can_follow(fake_backend: FakeBackend, n_tokens: int) -> None:
    assert len(check(fake_backend, prompt=[1] * n_tokens).prompt) == n_tokens


def test_a_prompt_that_fills_the_sequence_is_refused(fake_backend: FakeBackend) -> None:
    with pytest.raises(ContextFull) as refused:
        check(fake_backend, prompt=[1] * CTX)
    assert (refused.value.n_tokens, refused.value.n_ctx) == (CTX + 1, CTX)


def test_a_prompt_of_millions_is_refused_without_being_looked_through(fake_backend: FakeBackend) -> None:
    """It happens on the event loop, which must not wait for it."""
    prompt = [N_VOCAB] * 5_000_000
    took_s: list[float] = []
    for _ in range(3):  # one of them may be in the way of the garbage collector
        began_s = thread_time()
        with pytest.raises(ContextFull):
            check(fake_backend, prompt=prompt)
        took_s.append(thread_time() - began_s)
    assert min(took_s) < 0.02


@pytest.mark.parametrize("prompt", [[], [N_VOCAB], [-1], [1, 2**70]])
def test_tokens_are_checked_one_by_one(fake_backend: FakeBackend, prompt: list[int]) -> None:
    with pytest.raises(RequestError) as refused:
        check(fake_backend, prompt=prompt)
    assert refused.value.field == "prompt"


@pytest.mark.parametrize("max_tokens", [0, -1])
def test_a_turn_brings_at_least_one_token(fake_backend: FakeBackend, max_tokens: int) -> None:
    with pytest.raises(RequestError, match="max_tokens"):
        check(fake_backend, max_tokens=max_tokens)


def test_without_max_tokens_a_turn_goes_on_until_it_ends(fake_backend: FakeBackend) -> None:
    assert check(fake_backend, max_tokens=None).max_tokens is None


@pytest.mark.parametrize("stop", ["", ["x", ""], ["x"] * 65, "x" * 1025])
def test_stop_strings_are_few_short_and_not_empty(fake_backend: FakeBackend, stop: str | list[str]) -> None:
    with pytest.raises(RequestError, match="stop"):
        check(fake_backend, stop=stop)


def test_the_sampler_is_checked_against_the_vocabulary(fake_backend: FakeBackend) -> None:
    with pytest.raises(RequestError, match="logit_bias"):
        check(fake_backend, sampling=SamplingParams(logit_bias={N_VOCAB: 1.0}))
