"""Programs of turns on every kind of memory, over the lives of several runtimes: the unbroken tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import trio
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from actorllama import Config, Model, Runtime, open_runtime
from actorllama.engine import EngineOptions, Exactness
from actorllama.errors import ModelUnavailable
from actorllama.kvcache import CacheOptions
from actorllama.runtime.names import model_name
from props.memories import DEMO, MEMORIES, Memory
from props.stories import Act, Story, StoryPlan, acts, story_plans

Leaving: TypeAlias = Literal["close", "cancel", "kill the model", "lose the last", "damage the last"]
"""How a chapter ends: the runtime is closed; cancelled; lives on without its model's actor; is closed, and
the file of each text's last boundary is gone, or one of its bytes is another."""
LEAVINGS: tuple[Leaving, ...] = (
    "close",
    "close",
    "cancel",
    "kill the model",
    "lose the last",
    "damage the last",
)
_DAMAGED_AT = 4000
_LIMIT_S = 60.0  # a program takes a tenth of a second; this much is a hang


@frozen(kw_only=True)
class Neighbour:
    """A turn of somebody else."""

    prompt: tuple[int, ...]
    n_tokens: int
    seed: int
    leaves_after: int | None
    """How many pieces of text it reads before it goes away."""

    async def run(self, model: Model) -> None:
        """Take the turn; the model may be killed meanwhile."""
        with suppress(ModelUnavailable):
            async with model.stream(self.prompt, max_tokens=self.n_tokens, seed=self.seed) as turn:
                n_pieces = 0
                async for _piece in turn:
                    n_pieces += 1
                    if n_pieces == self.leaves_after:
                        break


@frozen(kw_only=True)
class Chapter:
    """What happens between two restarts."""

    acts: tuple[tuple[Act, ...], ...]
    """Of each text, in its order; the texts are told side by side."""
    neighbours: tuple[Neighbour, ...]
    leaving: Leaving
    n_mixed: int
    ram_limit_bytes: int

    @property
    def config(self) -> Config:
        """Options of the runtime that begins with this chapter."""
        return Config(
            engine=EngineOptions(n_mixed=self.n_mixed, max_restarts=1000),
            cache=CacheOptions(ram_limit_bytes=self.ram_limit_bytes),
        )


@define(kw_only=True)
class Book:
    """Several texts, told side by side in one memory, chapter by chapter."""

    memory: Memory
    level: Exactness
    root: Path
    stories: list[Story] = field(factory=list[Story])
    lost: set[str] = field(factory=set[str])
    leaving: Leaving = "close"

    async def tell(self, plans: list[StoryPlan], chapters: list[Chapter]) -> None:
        """Tell the whole program and check every text."""
        await self.begin(plans, is_alone=len(plans) == 1 and not any(c.neighbours for c in chapters))
        async with self.open(chapters[0].config) as (_, model):
            await self.tell_prompts(model)
        left = list(chapters)
        while left:
            with trio.CancelScope() as scope:
                async with self.open(left[0].config) as (rt, model):
                    while left and (await self.live(rt, model, left.pop(0), scope)) == "kill the model":
                        pass
            self.check_kept()
            self.lose(self.leaving)
        async with self.open(chapters[0].config) as (_, model):
            await self.tell_prompts(model)
            async with trio.open_nursery() as nursery:
                for story in self.stories:
                    nursery.start_soon(story.finish, model)
        for story in self.stories:
            story.check()
        async with self.open(chapters[0].config) as (_, model):
            for story in self.stories:
                await story.go_beyond(model)

    async def begin(self, plans: list[StoryPlan], *, is_alone: bool) -> None:
        """Tell every text without a break, one after the other, in a runtime of its own."""
        assert self.level != "recomputed"
        # Faithful is inexact beside others, and where restored rows lie in other cells than live ones.
        is_same_cells = self.memory.layout == "isolated" and self.memory.family != "gemma3"
        is_exact = self.level == "exact" or (is_alone and is_same_cells and not self.memory.flash_attention)
        async with open_runtime() as rt:
            model = await rt.load("whole", self.memory.path, **self.memory.options())
            for plan in plans:
                whole = await plan.tell_whole(model)
                self.stories.append(Story(plan=plan, whole=whole, is_exact=is_exact, lost=self.lost))

    async def tell_prompts(self, model: Model) -> None:
        """Begin the texts that have no boundary, one after the other.

        Side by side llama.cpp may compute a row of a prompt as the only one of its sequence: beside a
        decoding turn the first row of every chunk, and of two chunks the last row of the one that is
        longer by one. In one prompt of a hundred the last bits then differ.
        """
        for story in self.stories:
            if story.last is None:
                await story.act(model, "go on")

    @asynccontextmanager
    async def open(self, config: Config) -> AsyncGenerator[tuple[Runtime, Model]]:
        """Open a runtime on the one directory."""
        async with open_runtime(config, state_dir=self.root) as rt:
            yield rt, await rt.load("told", self.memory.path, **self.memory.options())

    async def live(self, rt: Runtime, model: Model, chapter: Chapter, scope: trio.CancelScope) -> Leaving:
        """Do what a chapter says, and leave its runtime as it says."""

        async def act(story: Story, all_of_it: tuple[Act, ...]) -> None:
            for one in all_of_it:
                if story.last is not None:  # else nothing is left of it, and it begins anew at the end
                    await story.act(model, one)

        async with trio.open_nursery() as others:
            for neighbour in chapter.neighbours:
                others.start_soon(neighbour.run, model)
            async with trio.open_nursery() as nursery:
                for story, what in zip(self.stories, chapter.acts, strict=False):
                    nursery.start_soon(act, story, what)
            if chapter.leaving == "kill the model":
                ref = rt.system.whereis(model_name("told"))
                assert ref is not None
                rt.system.kill(ref, why="the program says so")
            others.cancel_scope.cancel()
        self.leaving = chapter.leaving
        if chapter.leaving == "cancel":
            scope.cancel()
            await trio.lowlevel.checkpoint()
        return chapter.leaving

    def check_kept(self) -> None:
        """Insist that a runtime that has ended left every boundary on the disk."""
        for story in self.stories:
            for part in story.parts:
                assert part.key in self.lost or self.files(part.key)

    def lose(self, leaving: Leaving) -> None:
        """Take the last boundary of each text away, or damage it."""
        lasts = {story.last.key for story in self.stories if story.last is not None}
        if leaving not in ("lose the last", "damage the last"):
            return
        self.lost |= lasts
        for file in (file for key in lasts for file in self.files(key)):
            data = bytearray(file.read_bytes())
            data[min(_DAMAGED_AT, len(data) - 1)] ^= 1
            if leaving == "lose the last":
                file.unlink()
            else:
                file.write_bytes(data)

    def files(self, key: str) -> list[Path]:
        """Find the files that bear this key; what was set aside as damaged is not among them."""
        found = self.root.rglob(f"*{key}*")
        return [path for path in found if path.parent.name == key[:2]]


def chapters() -> st.SearchStrategy[list[Chapter]]:
    """Draw the lives of a few runtimes."""
    neighbour = st.builds(
        Neighbour,
        prompt=st.lists(st.integers(4, 250), min_size=1, max_size=60).map(tuple),
        n_tokens=st.integers(1, 30),
        seed=st.integers(0, 9),
        leaves_after=st.one_of(st.none(), st.integers(0, 9)),
    )
    chapter = st.builds(
        Chapter,
        acts=st.lists(acts(), min_size=1, max_size=3).map(tuple),
        neighbours=st.lists(neighbour, max_size=3).map(tuple),
        leaving=st.sampled_from(LEAVINGS),
        n_mixed=st.sampled_from([256, 2, 7]),
        ram_limit_bytes=st.sampled_from([1 << 30, 0, 20_000]),
    )
    return st.lists(chapter, min_size=1, max_size=4)


def tell(memory: Memory, plans: list[StoryPlan], program: list[Chapter]) -> None:
    """Run one program in a directory of its own."""
    level = memory.level
    with TemporaryDirectory(prefix="actorllama-prop-") as root:
        book = Book(memory=memory, level=level, root=Path(root))

        async def within_limit() -> None:
            with trio.fail_after(_LIMIT_S):
                await book.tell(plans, program)

        trio.run(within_limit)


@settings(max_examples=max(5, settings().max_examples // 4))
@given(
    memory=st.sampled_from(MEMORIES),
    plans=st.lists(story_plans(), min_size=1, max_size=3),
    program=chapters(),
)
def prop_texts_in_parts_over_many_lives_are_the_unbroken_texts(
    memory: Memory, plans: list[StoryPlan], program: list[Chapter]
) -> None:
    """On every kind of memory, with every sampler, whatever is lost, killed, cancelled or runs beside."""
    tell(memory, plans, program)


@settings(max_examples=max(3, settings().max_examples // 10))
@given(plans=st.lists(story_plans(max_prompt=20), min_size=1, max_size=2), program=chapters())
def prop_the_demo_model_tells_its_texts_in_parts_over_many_lives(
    plans: list[StoryPlan], program: list[Chapter]
) -> None:
    """The same with trained weights, where texts end by themselves and grammars meet a real vocabulary."""
    tell(DEMO, plans, program)
