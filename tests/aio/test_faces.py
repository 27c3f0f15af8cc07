"""Three faces, one set of verbs: same names, same keywords, same types."""

from __future__ import annotations

import inspect
from types import FunctionType

import pytest

import actorllama
from actorllama import aio
from actorllama.testing.fake_backend import FakeBackend
from tests.aio.aio_rig import open_model, run

# What lives on the trio side and is of no use elsewhere.
TRIO_ONLY = {
    "Runtime": {"backend", "host", "system"},
    "Model": {"tell"},
    "Turn": {"divert", "finish", "window"},
}
PAIRS = [
    (actorllama.Runtime, aio.AsyncRuntime, aio.BlockingRuntime),
    (actorllama.Model, aio.AsyncModel, aio.BlockingModel),
    (actorllama.Turn, aio.AsyncTurn, aio.BlockingTurn),
    (actorllama.Conversation, aio.AsyncConversation, aio.BlockingConversation),
]
FACES = [(trio_face, face) for trio_face, *faces in PAIRS for face in faces]


def verbs_of(face: type) -> set[str]:
    return {name for name in vars(face) if not name.startswith("_")} - TRIO_ONLY.get(face.__name__, set())


def parameters_of(verb: object) -> list[tuple[str, object, object, str]]:
    """List names, kinds, defaults and hints; ``Prompt`` is a name for what it stands for."""
    assert isinstance(verb, FunctionType)
    return [
        (one.name, one.kind, one.default, str(one.annotation).replace("Prompt", "str | Sequence[int]"))
        for one in inspect.signature(verb).parameters.values()
    ]


@pytest.mark.parametrize(("trio_face", "face"), FACES)
def test_a_face_has_every_verb_of_the_trio_face_and_no_other(trio_face: type, face: type) -> None:
    is_set_when_made = {"name"}  # an attribute of the trio face, a property of the others
    assert verbs_of(face) - is_set_when_made == verbs_of(trio_face)


@pytest.mark.parametrize(("trio_face", "face"), FACES)
def test_a_verb_takes_what_it_takes_under_trio(trio_face: type, face: type) -> None:
    for name in verbs_of(face) & verbs_of(trio_face):
        verb = vars(trio_face)[name]
        if not isinstance(verb, property):
            assert parameters_of(vars(face)[name]) == parameters_of(verb), name


@pytest.mark.parametrize("opener", [aio.open_runtime, aio.open_blocking_runtime])
def test_a_runtime_is_opened_with_the_same_options(opener: object) -> None:
    options = [one for one in parameters_of(opener) if one[0] != "mode"]
    assert options == parameters_of(actorllama.open_runtime)


def test_a_conversation_is_held_as_under_trio(backend: FakeBackend) -> None:
    async def main() -> None:
        async with open_model(backend) as (_, model):
            chat = model.conversation("be brief", temperature=0.0)
            first = await chat.say("hello", max_tokens=6)
            async with chat.stream_say("and?", max_tokens=6) as turn:
                text = "".join([piece.text async for piece in turn])
            assert [message.content for message in chat.messages[-3:]] == [first.text, "and?", text]
            again = await chat.regenerate(seed=3)
            assert chat.messages[-1].content == again.text
            fork = chat.fork(at=1)
            chat.undo()
            assert fork.messages == chat.messages
            assert (chat.n_turns, fork.n_turns) == (1, 1)
            assert chat.resume_key is not None
            with_key = model.conversation(messages=chat.messages, resume_key=chat.resume_key)
            assert with_key.resume_key == chat.resume_key

    run(main)


def test_a_kept_turn_is_resumed_as_under_trio(backend: FakeBackend) -> None:
    async def main() -> None:
        async with open_model(backend) as (_, model):
            whole = await model.complete("hello", max_tokens=12, temperature=0.0)
            cut = await model.complete("hello", max_tokens=5, temperature=0.0, keep=True)
            assert cut.resume_key is not None
            rest = await model.resume(cut.resume_key, max_tokens=7)
            assert cut.tokens + rest.tokens == whole.tokens
            alone = model.for_tenant("a secret")
            assert (await alone.complete("hello", max_tokens=12, temperature=0.0)).text == whole.text

    run(main)


def test_what_can_be_read_without_asking_is_what_the_trio_face_says(backend: FakeBackend) -> None:
    async def main() -> None:
        async with open_model(backend) as (rt, model):
            inner = model._model
            assert repr(model) == "<AsyncModel fake x.gguf>"
            assert (model.name, model.facts, model.verdict) == (inner.name, inner.facts, inner.verdict)
            assert model.context_options is inner.context_options
            assert model.has_chat_template == inner.has_chat_template
            assert model.end_tokens == inner.end_tokens
            assert model.gauges.model == rt.gauges()[0].model == "fake"
            assert rt.build_info() == backend.build_info()
            assert rt.model("fake").name == "fake"

    run(main)
