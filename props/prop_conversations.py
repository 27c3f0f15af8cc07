"""Conversations that are said, forked, told again, undone and carried over restarts: what nobody broke."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias, assert_never

import trio
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from actorllama import Config, Conversation, Message, Model, TurnResult, open_runtime
from actorllama.engine import EngineOptions
from actorllama.errors import ContextFull
from actorllama.kvcache import CacheOptions
from actorllama.runtime import SamplingOptions
from props.memories import CTX_MOST, DEMO, Memory

Act: TypeAlias = Literal["say", "fork", "regenerate", "undo", "restart"]
ACTS: tuple[Act, ...] = ("say", "say", "say", "fork", "regenerate", "undo", "restart")
TEXTS = ("hello", "a red ball", "What is my name?", "ok", "the dog and the cat go home")
SAMPLING: SamplingOptions = {"temperature": 0.9, "repeat_penalty": 1.1, "logprobs": 1}
_BLOCK_TOKENS = 16  # short conversations have several
_LIMIT_S = 60.0  # an evening takes a tenth of a second; this much is a hang
_KINDS = (
    DEMO,
    Memory(family="llama"),
    Memory(family="llama", weights="F32"),
    Memory(family="gemma3"),
    Memory(family="mamba"),
    Memory(family="jamba"),
)


@frozen(kw_only=True)
class Said:
    """One turn, as anybody would say it again."""

    text: str
    seed: int
    max_tokens: int


@define(kw_only=True, eq=False)
class Talk:
    """A conversation, and how it came to where it is."""

    chat: Conversation
    path: tuple[Said, ...] = ()
    results: tuple[TurnResult, ...] = ()
    n_forgotten: int = 0
    """Turns whose tokens nobody knows any more: after a restart only the last one has a key."""
    is_strayed: bool = False
    """Whether such a turn was rendered again: its tokens are then those of its text."""

    @property
    def must_be_unbroken(self) -> bool:
        """Whether all that was said is what it would be without a break."""
        return not self.is_strayed and all(result.exactness == "exact" for result in self.results)

    def went_on(self, said: Said, result: TurnResult) -> None:
        """Add a turn; the one before may be forgotten."""
        if self.path and self.n_forgotten == len(self.path):
            self.is_strayed = True
        self.path, self.results = (*self.path, said), (*self.results, result)

    def step_back(self) -> None:
        """Forget the last turn."""
        self.path, self.results = self.path[:-1], self.results[:-1]
        self.n_forgotten = min(self.n_forgotten, len(self.path))

    def forked(self) -> Talk:
        """Begin another with the same past."""
        return Talk(
            chat=self.chat.fork(),
            path=self.path,
            results=self.results,
            n_forgotten=self.n_forgotten,
            is_strayed=self.is_strayed,
        )


@frozen(kw_only=True)
class Life:
    """How a runtime is opened."""

    n_seq: int
    n_reuse: int
    ram_limit_bytes: int


@define(kw_only=True)
class Evening:
    """Some conversations with one model, over the lives of several runtimes."""

    memory: Memory
    root: Path
    lives: list[Life]
    talks: list[Talk] = field(factory=list[Talk])

    async def spend(self, acts: list[list[tuple[Act, Said]]]) -> None:
        """Do everything, conversations side by side until one of them wants a restart; then compare."""
        turns = 0
        left = [list(one) for one in acts]
        self.talks = []
        kept: list[tuple[Talk, tuple[Message, ...], str | None]] = []
        while turns == 0 or any(left):
            async with self.open(self.lives[turns % len(self.lives)]) as model:
                if turns == 0:
                    self.talks = [Talk(chat=model.conversation(**SAMPLING)) for _ in acts]
                else:
                    for talk, messages, key in kept:
                        chat = model.conversation(messages=messages, resume_key=key, **SAMPLING)
                        talk.chat, talk.n_forgotten = chat, max(0, len(talk.path) - (key is not None))
                async with trio.open_nursery() as nursery:
                    for talk, mine in zip(list(self.talks), left, strict=False):
                        nursery.start_soon(self.live, talk, mine)
                kept = [(talk, talk.chat.messages, talk.chat.resume_key) for talk in self.talks]
            turns += 1
        await self.compare()

    async def live(self, talk: Talk, mine: list[tuple[Act, Said]]) -> None:
        """Do what one conversation has to do until it wants a restart."""
        while mine:
            act, said = mine.pop(0)
            if act == "restart":
                return
            try:
                await self.act(talk, act, said)
            except ContextFull:
                talk.chat.undo()
                talk.step_back()

    async def act(self, talk: Talk, act: Act, said: Said) -> None:
        """Do one thing."""
        match act:
            case "say":
                result = await talk.chat.say(said.text, max_tokens=said.max_tokens, seed=said.seed)
                talk.went_on(said, result)
            case "fork":
                other = talk.forked()
                self.talks.append(other)
                await self.act(other, "say", said)
            case "regenerate":
                if talk.path:
                    # After a restart the bounds of earlier asks are unknown: say it again oneself.
                    last = talk.path[-1]
                    talk.chat.undo()
                    talk.step_back()
                    again = Said(text=last.text, seed=said.seed, max_tokens=last.max_tokens)
                    await self.act(talk, "say", again)
            case "undo":
                if talk.path:
                    talk.chat.undo()
                    talk.step_back()
            case "restart":
                pass
            case _:
                assert_never(act)

    async def compare(self) -> None:
        """Say every conversation again without a break, and insist that nothing is different."""
        config = Config(engine=EngineOptions(prefix_cache=False))
        async with open_runtime(config) as rt:
            options = self.memory.options(ctx_per_seq=CTX_MOST)
            model = await rt.load("whole", self.memory.path, **options)
            for talk in self.talks:
                if not talk.must_be_unbroken:
                    continue
                chat = model.conversation(**SAMPLING)
                for said, result in zip(talk.path, talk.results, strict=True):
                    want = await chat.say(said.text, max_tokens=said.max_tokens, seed=said.seed)
                    assert (result.tokens, result.text) == (want.tokens, want.text)
                    assert (result.logprobs, result.n_draws) == (want.logprobs, want.n_draws)
                    assert result.finish_reason == want.finish_reason
                assert talk.chat.messages == chat.messages

    @asynccontextmanager
    async def open(self, life: Life) -> AsyncGenerator[Model]:
        """Open a runtime on the one directory."""
        config = Config(
            engine=EngineOptions(n_reuse=life.n_reuse),
            cache=CacheOptions(ram_limit_bytes=life.ram_limit_bytes, block_tokens=_BLOCK_TOKENS),
        )
        async with open_runtime(config, state_dir=self.root) as rt:
            options = self.memory.options(n_seq=life.n_seq, ctx_per_seq=CTX_MOST)
            yield await rt.load("told", self.memory.path, **options)


def lives() -> st.SearchStrategy[list[Life]]:
    """Draw how runtimes are opened."""
    life = st.builds(
        Life,
        n_seq=st.sampled_from([3, 2, 1]),
        n_reuse=st.sampled_from([32, 1]),
        ram_limit_bytes=st.sampled_from([1 << 30, 0, 20_000]),
    )
    return st.lists(life, min_size=1, max_size=3)


def acts() -> st.SearchStrategy[list[list[tuple[Act, Said]]]]:
    """Draw what one to three conversations do."""
    said = st.builds(Said, text=st.sampled_from(TEXTS), seed=st.integers(0, 3), max_tokens=st.integers(1, 24))
    one = st.lists(st.tuples(st.sampled_from(ACTS), said), min_size=1, max_size=7)
    return st.lists(one, min_size=1, max_size=3)


@settings(max_examples=max(5, settings().max_examples // 5))
@given(memory=st.sampled_from(_KINDS), lives=lives(), acts=acts())
def prop_conversations_over_many_lives_are_the_unbroken_ones(
    memory: Memory, lives: list[Life], acts: list[list[tuple[Act, Said]]]
) -> None:
    """Where every turn says that it is exact and none had to be rendered again."""
    with TemporaryDirectory(prefix="actorllama-prop-") as root:
        evening = Evening(memory=memory, root=Path(root), lives=lives)

        async def within_limit() -> None:
            with trio.fail_after(_LIMIT_S):
                await evening.spend(acts)

        trio.run(within_limit)
