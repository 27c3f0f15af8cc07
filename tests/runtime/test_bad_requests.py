"""Fifty kinds of bad input and more: each a typed error that names the value, and the next turn works."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import pytest
import trio

from actorllama import Model, Runtime, open_runtime
from actorllama.errors import (
    ActorLlamaError,
    ChatTemplateError,
    ContextFull,
    ModelAlreadyLoaded,
    ModelNotLoaded,
    RequestError,
)
from actorllama.runtime import SamplingOptions
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import N_VOCAB, FakeLanguage

HUGE = 10**5000  # too large for a float, and for Python to write down

# What complete() is given instead of something good, and which field the error must name.
BAD_TURNS: tuple[tuple[str, dict[str, object], str], ...] = (
    ("no prompt", {"prompt": None}, "prompt"),
    ("an empty prompt", {"prompt": ""}, "prompt"),
    ("no tokens", {"prompt": []}, "prompt"),
    ("a number as prompt", {"prompt": 7}, "prompt"),
    ("bytes as prompt", {"prompt": b"abc"}, "prompt"),
    ("a bytearray as prompt", {"prompt": bytearray(b"abc")}, "prompt"),
    ("a set as prompt", {"prompt": {1, 2}}, "prompt"),
    ("half a surrogate pair", {"prompt": "a\ud800"}, "prompt"),
    ("half a surrogate pair in a long prompt", {"prompt": "a" * 4000 + "\ud800"}, "prompt"),
    ("a token that is not there", {"prompt": [1, N_VOCAB]}, "prompt"),
    ("a negative token", {"prompt": [-1]}, "prompt"),
    ("a token of text", {"prompt": ["a"]}, "prompt"),
    ("a token that is a float", {"prompt": [1.0]}, "prompt"),
    ("a token that is a boolean", {"prompt": [True]}, "prompt"),
    ("prompt and messages", {"messages": [{"role": "user", "content": "x"}]}, "prompt"),
    ("messages that are text", {"prompt": None, "messages": "hello"}, "messages"),
    ("messages that are a number", {"prompt": None, "messages": 5}, "messages"),
    ("no messages", {"prompt": None, "messages": []}, "messages"),
    ("a message that is text", {"prompt": None, "messages": ["hello"]}, "messages[0]"),
    ("an unknown role", {"prompt": None, "messages": [{"role": "boss", "content": "x"}]}, "messages[0].role"),
    ("no content", {"prompt": None, "messages": [{"role": "user"}]}, "messages[0].content"),
    ("an unknown key", {"prompt": None, "messages": [{"role": "user", "name": "x"}]}, "messages[0]"),
    ("max_tokens of zero", {"max_tokens": 0}, "max_tokens"),
    ("negative max_tokens", {"max_tokens": -5}, "max_tokens"),
    ("max_tokens as float", {"max_tokens": 1.5}, "max_tokens"),
    ("max_tokens as text", {"max_tokens": "8"}, "max_tokens"),
    ("max_tokens as boolean", {"max_tokens": True}, "max_tokens"),
    ("an empty stop string", {"stop": ""}, "stop"),
    ("an empty stop string among others", {"stop": ["a", ""]}, "stop"),
    ("a number as stop", {"stop": 5}, "stop"),
    ("None as stop", {"stop": None}, "stop"),
    ("a number among the stops", {"stop": ["a", 5]}, "stop"),
    ("bytes as stop", {"stop": b"ab"}, "stop"),
    ("too many stops", {"stop": ["x"] * 65}, "stop"),
    ("a stop that is too long", {"stop": "x" * 1025}, "stop"),
    ("negative temperature", {"temperature": -0.1}, "temperature"),
    ("a temperature that is not a number", {"temperature": math.nan}, "temperature"),
    ("infinite temperature", {"temperature": math.inf}, "temperature"),
    ("a temperature beyond floats", {"temperature": HUGE}, "temperature"),
    ("temperature as text", {"temperature": "hot"}, "temperature"),
    ("temperature as boolean", {"temperature": True}, "temperature"),
    ("no temperature at all", {"temperature": None}, "temperature"),
    ("negative top_k", {"top_k": -1}, "top_k"),
    ("top_k as float", {"top_k": 3.0}, "top_k"),
    ("top_p of zero", {"top_p": 0.0}, "top_p"),
    ("top_p above one", {"top_p": 1.01}, "top_p"),
    ("negative min_p", {"min_p": -0.01}, "min_p"),
    ("min_p above one", {"min_p": 2}, "min_p"),
    ("typical_p of zero", {"typical_p": 0}, "typical_p"),
    ("repeat_penalty of zero", {"repeat_penalty": 0}, "repeat_penalty"),
    ("frequency_penalty out of bounds", {"frequency_penalty": 1e9}, "frequency_penalty"),
    ("presence_penalty out of bounds", {"presence_penalty": -1e9}, "presence_penalty"),
    ("penalty_last_n below -1", {"penalty_last_n": -2}, "penalty_last_n"),
    ("a negative seed", {"seed": -1}, "seed"),
    ("a seed of 65 bits", {"seed": 2**64}, "seed"),
    ("a seed beyond floats", {"seed": HUGE}, "seed"),
    ("a seed as float", {"seed": 1.0}, "seed"),
    ("logit_bias as list", {"logit_bias": [1.0]}, "logit_bias"),
    ("logit_bias of no token", {"logit_bias": {N_VOCAB: 1.0}}, "logit_bias"),
    ("logit_bias of a text", {"logit_bias": {"the": 1.0}}, "logit_bias"),
    ("logit_bias that is not a number", {"logit_bias": {1: math.nan}}, "logit_bias"),
    ("infinite logit_bias", {"logit_bias": {1: math.inf}}, "logit_bias"),
    ("logit_bias as text", {"logit_bias": {1: "much"}}, "logit_bias"),
    ("logit_bias beyond floats", {"logit_bias": {1: HUGE}}, "logit_bias"),
    ("an unknown sampling parameter", {"temprature": 0.5}, "temprature"),
    ("a timeout of zero", {"timeout_s": 0}, "timeout_s"),
    ("a negative timeout", {"timeout_s": -1.0}, "timeout_s"),
    ("a timeout that is not a number", {"timeout_s": math.nan}, "timeout_s"),
    ("a timeout as text", {"timeout_s": "soon"}, "timeout_s"),
    ("a timeout beyond floats", {"timeout_s": HUGE}, "timeout_s"),
)

BAD_WINDOWS: tuple[object, ...] = (0, 1, -3, 1.5, "64", True, HUGE)

BAD_GRACES: tuple[object, ...] = (-1, math.nan, math.inf, "soon", True, HUGE)

BAD_LOADS: tuple[tuple[str, dict[str, object], str], ...] = (
    ("an empty name", {"name": ""}, "name"),
    ("a name with a space", {"name": "a b"}, "name"),
    ("a name with a newline", {"name": "a\n"}, "name"),
    ("a name that is too long", {"name": "x" * 65}, "name"),
    ("a name that is a number", {"name": 5}, "name"),
    ("a path that is a number", {"path": 5}, "path"),
    ("no sequences", {"n_seq": 0}, "n_seq"),
    ("too many sequences", {"n_seq": 257}, "n_seq"),
    ("n_seq as float", {"n_seq": 2.0}, "n_seq"),
    ("n_seq as boolean", {"n_seq": True}, "n_seq"),
    ("n_seq as text", {"n_seq": "8"}, "n_seq"),
    ("a context of nothing", {"ctx_per_seq": 0}, "ctx_per_seq"),
    ("a batch of one", {"n_batch": 1}, "n_batch"),
    ("negative threads", {"n_threads": -1}, "n_threads"),
    ("an unknown layout", {"layout": "round"}, "layout"),
    ("an unknown KV type", {"type_k": "q3"}, "type_k"),
    ("quantised values without flash attention", {"type_v": "q8_0"}, "type_v"),
    ("an unknown option", {"n_sequences": 4}, "n_sequences"),
    ("a weight of zero", {"weight": 0}, "weight"),
    ("a weight that is not a number", {"weight": math.nan}, "weight"),
    ("a weight beyond floats", {"weight": HUGE}, "weight"),
    ("a weight as text", {"weight": "heavy"}, "weight"),
)


def names(table: tuple[tuple[str, dict[str, object], str], ...]) -> list[str]:
    return [row[0] for row in table]


async def take(model: Model, given: dict[str, object]) -> None:
    """Call ``complete`` as a program without types might."""
    arguments = {"prompt": "good", "max_tokens": 4} | given
    await model.complete(**cast("SamplingOptions", arguments))


async def insist_on_good_turns(model: Model) -> None:
    with trio.fail_after(60):
        assert (await model.complete("good", max_tokens=4, temperature=0.0)).tokens
        status = await model.status()
    assert (status.n_free_slots, status.n_live, status.n_queued) == (status.n_seq, 0, 0)


def test_there_are_more_than_fifty_kinds() -> None:
    assert len(BAD_TURNS) + len(BAD_LOADS) > 50
    assert len(set(names(BAD_TURNS))) == len(BAD_TURNS)


@pytest.mark.parametrize(("_name", "given", "field"), BAD_TURNS, ids=names(BAD_TURNS))
async def test_a_bad_turn_is_refused_by_name_and_the_next_one_works(
    fake_backend: FakeBackend, _name: str, given: dict[str, object], field: str
) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", "x.gguf", n_seq=2, ctx_per_seq=8192)
        with pytest.raises(RequestError) as refused:
            await take(model, given)
        assert refused.value.field == field
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 600
        await insist_on_good_turns(model)


@pytest.mark.parametrize("window", BAD_WINDOWS, ids=lambda value: type(value).__name__)
async def test_a_bad_window_is_refused(fake_backend: FakeBackend, window: object) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", "x.gguf")
        with pytest.raises(RequestError, match="window"):
            async with model.stream("good", window=cast("int", window)):
                pass
        await insist_on_good_turns(model)


@pytest.mark.parametrize(("_name", "given", "field"), BAD_LOADS, ids=names(BAD_LOADS))
async def test_a_bad_load_is_refused_by_name_and_the_next_one_works(
    fake_backend: FakeBackend, _name: str, given: dict[str, object], field: str
) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        arguments: dict[str, object] = {"name": "bad", "path": "x.gguf"} | given
        with pytest.raises(RequestError) as refused:
            await load(rt, arguments)
        assert refused.value.field == field
        assert fake_backend.ledger.n_opened("model") == 0
        await insist_on_good_turns(await rt.load("good", "x.gguf"))


async def load(rt: Runtime, arguments: dict[str, object]) -> None:
    """Call ``load`` as a program without types might."""
    await rt.load(cast("str", arguments.pop("name")), **arguments)  # type: ignore[arg-type]  # bad on purpose


@pytest.mark.parametrize("grace_s", BAD_GRACES, ids=lambda value: type(value).__name__)
async def test_a_bad_grace_is_refused_and_the_model_stays(fake_backend: FakeBackend, grace_s: object) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", "x.gguf")
        with pytest.raises(RequestError, match="grace_s"):
            await rt.unload("fake", grace_s=cast("float", grace_s))
        await insist_on_good_turns(model)


@pytest.mark.parametrize("n_tokens", [64, 65, 5000])
async def test_a_prompt_that_leaves_no_room_is_refused_with_both_sizes(
    fake_backend: FakeBackend, n_tokens: int
) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", "x.gguf", ctx_per_seq=64)
        with pytest.raises(ContextFull) as refused:
            await model.complete([1] * n_tokens)
        assert (refused.value.n_tokens, refused.value.n_ctx) == (n_tokens + 1, 64)
        await insist_on_good_turns(model)


@pytest.mark.parametrize("template", ["{{ raise_exception('no') }}", "{{ missing.attribute }}", "{% for", ""])
async def test_a_chat_template_that_fails_is_told_and_prompts_still_work(template: str) -> None:
    backend = FakeBackend(FakeLanguage(chat_template=template))
    async with open_runtime(backend=backend) as rt:
        model = await rt.load("fake", "x.gguf")
        with pytest.raises(ChatTemplateError):
            await model.complete(messages=[{"role": "user", "content": "hello"}])
        await insist_on_good_turns(model)
    backend.ledger.check()


async def test_a_model_without_a_chat_template_says_so() -> None:
    async with open_runtime(backend=FakeBackend(FakeLanguage(chat_template=None))) as rt:
        model = await rt.load("fake", "x.gguf")
        assert not model.has_chat_template
        with pytest.raises(ChatTemplateError, match="brings none"):
            await model.complete(messages=[{"role": "user", "content": "hello"}])
        await insist_on_good_turns(model)


async def test_a_name_in_use_is_refused_and_its_holder_goes_on(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", "x.gguf")
        with pytest.raises(ModelAlreadyLoaded):
            await rt.load("fake", "y.gguf")
        await insist_on_good_turns(model)


async def test_a_model_that_is_not_loaded_is_refused_with_those_that_are(fake_backend: FakeBackend) -> None:
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("here", "x.gguf")
        with pytest.raises(ModelNotLoaded) as missing:
            rt.model("there")
        assert missing.value.loaded == ("here",)
        with pytest.raises(ModelNotLoaded):
            await rt.unload("there")
        await insist_on_good_turns(model)


async def test_every_refusal_is_of_the_one_family(fake_backend: FakeBackend) -> None:
    """All of them at once, on one model: whatever fails is an error of ours."""
    async with open_runtime(backend=fake_backend) as rt:
        model = await rt.load("fake", Path("x.gguf"))
        for _name, given, _field in BAD_TURNS:
            with pytest.raises(ActorLlamaError):
                await take(model, given)
        await insist_on_good_turns(model)
