"""A conversation goes on from where it stood, with exactly the tokens that were."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio

from actorllama import Config, demo
from actorllama.engine import ChatTemplate, EngineOptions, Message, messages_from
from actorllama.errors import ContextFull, RequestError
from actorllama.kvcache import DiskTier, Snapshot
from actorllama.runtime import Conversation, Model, open_runtime
from actorllama.runtime.conversation_prompt import new_text
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import END, FakeLanguage

TOPICS = ("My name is Ada.", "What can you do?", "What is my name?")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITHOUT_THOUGHTS = CHATML.replace("m.content | trim", "m.content.split('</think>')[-1]")
SYSTEM_LAST = (
    "{% for m in messages if m.role != 'system' %}"
    "{% if loop.last and messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
)
ONLY_LAST = "[{{ messages[-1].content }}]"


@asynccontextmanager
async def open_demo(
    state_dir: Path | None = None, *, config: Config | None = None
) -> AsyncGenerator[Model, None]:
    async with open_runtime(config, state_dir=state_dir) as rt:
        yield await rt.load("demo", demo.model_path(), n_seq=2, ctx_per_seq=512, n_threads=1)


@asynccontextmanager
async def open_fake(language: FakeLanguage | None = None, *, n_ctx: int = 512) -> AsyncGenerator[Model, None]:
    async with open_runtime(backend=FakeBackend(language or FakeLanguage(end_one_in=0))) as rt:
        yield await rt.load("fake", Path("fake.gguf"), n_seq=2, ctx_per_seq=n_ctx)


async def say_all(chat: Conversation, texts: tuple[str, ...] = TOPICS) -> list[tuple[int, ...]]:
    return [(await chat.say(text, max_tokens=40)).tokens for text in texts]


async def test_a_name_told_two_turns_ago_is_remembered_and_nothing_is_computed_twice() -> None:
    async with open_demo() as model:
        chat = model.conversation("You are terse.", temperature=0.0)
        first = await chat.say(TOPICS[0])
        second = await chat.say(TOPICS[1])
        third = await chat.say(TOPICS[2])

    assert third.text == "Your name is Ada."
    assert first.usage.n_cached == 0
    assert second.usage.n_cached == first.usage.n_total - 1
    assert third.usage.n_cached == second.usage.n_total - 1
    assert [message.role for message in chat.messages] == ["system", *("user", "assistant") * 3]
    assert (chat.messages[-1].content, chat.n_turns) == (third.text, 3)
    assert chat.resume_key == third.resume_key is not None


async def test_the_replies_are_those_of_a_conversation_without_a_cache() -> None:
    """Each prompt of the other one is computed whole."""
    async with open_demo() as model:
        kept = model.conversation(temperature=0.0)
        said = await say_all(kept)
    async with open_demo(config=Config(engine=EngineOptions(prefix_cache=False))) as model:
        for n_turns, tokens in enumerate(said):
            past = kept.messages[: 2 * n_turns + 1]
            whole = await model.complete(messages=past, max_tokens=40, temperature=0.0)
            assert (whole.tokens, whole.usage.n_cached) == (tokens, 0)


async def test_a_conversation_that_is_not_kept_has_no_key_and_goes_on_all_the_same() -> None:
    async with open_demo() as model:
        plain = model.conversation(temperature=0.0, keep=False)
        assert len(await say_all(plain)) == len(TOPICS)
        assert plain.resume_key is None


async def test_the_prompt_of_a_template_with_end_tokens_is_the_rendered_one() -> None:
    async with open_demo() as model:
        chat = model.conversation(temperature=0.0)
        await chat.say(TOPICS[0])
        second = await chat.say(TOPICS[1])
        whole = await model.complete(messages=chat.messages[:-1], temperature=0.0)
    assert (whole.tokens, whole.usage.n_prompt) == (second.tokens, second.usage.n_prompt)


async def test_a_reply_cut_by_max_tokens_is_closed_by_the_template() -> None:
    async with open_demo() as model:
        chat = model.conversation(temperature=0.0)
        cut = await chat.say(TOPICS[0], max_tokens=3)
        after = await chat.say(TOPICS[2])
        rendered = await model.complete(messages=chat.messages[:-1], max_tokens=1)
    assert cut.finish_reason == "length"
    assert after.usage.n_cached == cut.usage.n_total - 1
    assert after.usage.n_prompt == rendered.usage.n_prompt


async def test_a_fork_goes_its_own_way_from_any_turn() -> None:
    async with open_demo() as model:
        chat = model.conversation(temperature=0.0)
        await say_all(chat)
        said = chat.messages
        fork = chat.fork(at=1)
        assert (fork.messages, fork.n_turns) == (said[:2], 1)
        answer = await fork.say("What is my name?")
        assert (answer.text, answer.usage.n_cached > 0) == ("Your name is Ada.", True)
        assert chat.messages == said == chat.fork().messages
        empty = chat.fork(at=0)
        assert (empty.messages, empty.resume_key) == ((), None)
        for at in (-1, 4, True):
            with pytest.raises(RequestError, match="at"):
                chat.fork(at=at)


async def test_undo_takes_the_last_turn_back() -> None:
    async with open_demo() as model:
        chat = model.conversation(temperature=0.0)
        await chat.say(TOPICS[0])
        key = chat.resume_key
        one = await chat.say(TOPICS[1])
        chat.undo()
        assert (chat.resume_key, chat.n_turns) == (key, 1)
        again = await chat.say(TOPICS[1])
        assert again.tokens == one.tokens
        chat.undo()
        chat.undo()
        for refuse in (chat.undo, chat.fork().undo):
            with pytest.raises(RequestError, match="nothing was said"):
                refuse()
        with pytest.raises(RequestError, match="nothing was said"):
            await chat.regenerate()


async def test_a_reply_is_told_again_with_another_seed_from_the_boundary_before() -> None:
    async with open_fake() as model:
        chat = model.conversation(temperature=1.5, seed=1)
        first = await chat.say("hello", max_tokens=12)
        second = await chat.say("and then?", max_tokens=12)
        other = await chat.regenerate(seed=7)
        assert (chat.n_turns, chat.messages[-1].content) == (2, other.text)
        assert other.tokens != second.tokens
        assert second.usage.n_cached == first.usage.n_total - 1
        assert other.usage.n_cached == other.usage.n_prompt - 2
        assert (other.seed, (await chat.regenerate()).seed) == (7, 8)
        assert (await chat.regenerate(seed=1)).tokens == second.tokens


async def test_a_turn_has_its_own_seed_and_sampler_whatever_was_restored() -> None:
    async with open_demo() as model:
        kept, plain = (model.conversation(temperature=1.0, seed=3, keep=keep) for keep in (True, False))
        for chat in (kept, plain):
            await chat.say("hello", max_tokens=9, repeat_penalty=1.2, stop="zz")
        one, two = [
            await chat.say("more", max_tokens=20, seed=5, dry_multiplier=0.8) for chat in (kept, plain)
        ]
    assert (one.tokens, one.text, one.n_draws) == (two.tokens, two.text, two.n_draws)
    assert (one.usage.n_cached > 0, one.exactness, two.exactness) == (True, "exact", "exact")


async def test_two_conversations_side_by_side_do_not_meet() -> None:
    async with open_demo() as model:
        alone = await say_all(model.conversation(temperature=0.0))
        chats = [model.conversation(temperature=0.0) for _ in range(3)]
        told: list[list[tuple[int, ...]]] = []

        async def talk(chat: Conversation) -> None:
            told.append(await say_all(chat))

        async with trio.open_nursery() as nursery:
            for chat in chats:
                nursery.start_soon(talk, chat)
    assert told == [alone] * 3


async def test_a_conversation_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as model:
        whole = await say_all(model.conversation(temperature=0.0))
        chat = model.conversation(temperature=0.0)
        await say_all(chat, TOPICS[:2])
    async with open_demo(tmp_path) as model:
        again = model.conversation(messages=chat.messages, resume_key=chat.resume_key, temperature=0.0)
        assert (again.messages, again.resume_key) == (chat.messages, chat.resume_key)
        last = await again.say(TOPICS[2])
        assert last.tokens == whole[2]
        assert last.usage.n_cached > 0
        assert (await again.regenerate()).tokens == whole[2]
        lost = again.fork(at=1)
        assert await say_all(lost, TOPICS[1:]) == whole[1:]


async def test_a_lost_snapshot_costs_time_only(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as model:
        whole = await say_all(model.conversation(temperature=0.0))
        chat = model.conversation(temperature=0.0)
        await say_all(chat, TOPICS[:2])
    async with open_demo() as model:
        again = model.conversation(messages=chat.messages, resume_key=chat.resume_key, temperature=0.0)
        last = await again.say(TOPICS[2])
        assert (last.tokens, last.usage.n_cached) == (whole[2], 0)
        assert (await again.say(TOPICS[2])).usage.n_cached == last.usage.n_total - 1


async def test_a_key_must_belong_to_the_messages() -> None:
    async with open_demo() as model:
        chat = model.conversation(temperature=0.0)
        await chat.say(TOPICS[0])
        key = chat.resume_key
        stranger = model.conversation(
            messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Go away."}],
            resume_key=key,
        )
        with pytest.raises(RequestError, match="reply is not the last message"):
            await stranger.say("hello")
        for messages in ([], [Message(role="user", content="hi")]):
            with pytest.raises(RequestError, match="resume_key"):
                model.conversation(messages=messages, resume_key=key)


@pytest.mark.parametrize("template", [SYSTEM_LAST, ONLY_LAST])
async def test_a_template_that_rewrites_the_past_is_rendered_anew(template: str) -> None:
    async with open_fake(FakeLanguage(end_one_in=0, chat_template=template)) as model:
        chat = model.conversation("be brief", temperature=0.0)
        await chat.say("hello", max_tokens=5)
        second = await chat.say("more", max_tokens=5)
        whole = await model.complete(messages=chat.messages[:-1], temperature=0.0, max_tokens=5)
    assert (second.tokens, second.usage.n_cached) == (whole.tokens, 0)


async def test_an_end_token_that_the_template_does_not_write_stays() -> None:
    async with open_fake(FakeLanguage(end_one_in=3)) as model:
        for seed in range(20):
            chat = model.conversation(temperature=1.0, seed=seed)
            first = await chat.say("hello", max_tokens=60)
            second = await chat.say("x", max_tokens=2)
            n_new = len("[user]x[assistant]")
            assert second.usage.n_prompt == first.usage.n_total + n_new
            assert second.usage.n_cached == first.usage.n_total - 1


async def test_the_templates_end_token_replaces_another_one() -> None:
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}[assistant]"
    async with open_fake(FakeLanguage(end_one_in=3, chat_template=template)) as model:
        ends: set[int] = set()
        for seed in range(30):
            chat = model.conversation(temperature=1.0, seed=seed)
            first = await chat.say("hello", max_tokens=60)
            second = await chat.say("x", max_tokens=2)
            n_end = 0 if first.finish_reason == "end" else 1
            assert second.usage.n_prompt == first.usage.n_total + n_end + len("[user]x[assistant]") + 1
            ends.add(first.tokens[-1])
    assert {END, END + 1} <= ends


async def test_a_streamed_turn_is_kept_when_it_was_read_to_its_end() -> None:
    async with open_fake() as model:
        chat = model.conversation(temperature=0.0)
        async with chat.stream_say("hello", max_tokens=30) as turn:
            text = "".join([piece.text async for piece in turn])
        assert (chat.n_turns, chat.messages[-1].content) == (1, text)
        async with chat.stream_say("more", max_tokens=300, window=2) as turn:
            async for _ in turn:
                break
        assert chat.n_turns == 1
        assert (await chat.say("more", max_tokens=3)).usage.n_cached > 0


async def test_a_turn_that_fails_leaves_the_conversation_as_it_was() -> None:
    async with open_fake(n_ctx=64) as model:
        chat = model.conversation(temperature=0.0)
        await chat.say("hello", max_tokens=3)
        said, key = chat.messages, chat.resume_key
        with pytest.raises(ContextFull):
            await chat.say("long" * 30)
        with pytest.raises(RequestError, match="max_tokens"):
            await chat.say("x", max_tokens=0)
        with trio.CancelScope() as scope:
            scope.cancel()
            await chat.say("x")
        assert (chat.messages, chat.resume_key) == (said, key)
        assert (await chat.say("x", max_tokens=3)).usage.n_cached > 0


async def test_one_turn_of_a_conversation_runs_at_a_time() -> None:
    async with open_fake() as model:
        chat = model.conversation(temperature=0.0)
        await chat.say("hello", max_tokens=3)
        async with chat.stream_say("more", max_tokens=300, window=2):
            with pytest.raises(RequestError, match="is running"):
                await chat.say("me too")
            with pytest.raises(RequestError, match="is running"):
                chat.undo()
            assert (await chat.fork().say("me too", max_tokens=3)).finish_reason == "length"
        assert (await chat.say("more", max_tokens=3)).finish_reason == "length"


def said(reply: str) -> tuple[Message, ...]:
    return messages_from(
        [
            {"role": role, "content": text}
            for role, text in (("user", "hi"), ("assistant", reply), ("user", "REPLY0Z"))
        ]
    )


@pytest.mark.parametrize("reply", ["hello", " hello\n", "", "a REPLY1Z b"])
def test_the_new_text_is_what_the_template_writes_after_the_reply(reply: str) -> None:
    text = new_text(ChatTemplate(CHATML), said(reply))
    assert text == "<|im_end|>\n<|im_start|>user\nREPLY0Z<|im_end|>\n<|im_start|>assistant\n"


def test_a_reply_without_its_thoughts_is_another_reply() -> None:
    template = ChatTemplate(WITHOUT_THOUGHTS)
    assert new_text(template, said("hello")) is not None
    assert new_text(template, said("<think>well</think>hello")) is None


async def test_saved_turns_say_what_people_call_them(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as model:
        chat = model.conversation(name="ada")
        keys = [
            (await chat.say(TOPICS[0], max_tokens=4)).resume_key,
            (await chat.fork().say(TOPICS[1], max_tokens=4)).resume_key,
            (await model.conversation().say(TOPICS[2], max_tokens=4)).resume_key,
            (await model.complete("Hello", max_tokens=4, keep=True)).resume_key,
        ]
    files = DiskTier(tmp_path / "snapshots", limit_bytes=1 << 30)
    saved = [files.get(key or "") for key in keys]
    assert [one.label for one in saved if isinstance(one, Snapshot)] == [
        "demo: ada",
        "demo: ada",
        "demo",
        "demo",
    ]


async def test_a_name_that_is_none_is_refused() -> None:
    async with open_fake() as model:
        for name in ("n" * 201, cast("str", 7)):
            with pytest.raises(RequestError, match="at most 200 characters"):
                model.conversation(name=name)
