"""Programs of turns on every kind of memory, over the lives of several runtimes: the unbroken tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import trio
from attrs import define, evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from actorllama import Config, Model, Runtime, TurnResult, open_runtime
from actorllama.engine import EngineOptions
from actorllama.errors import ContextFull, ModelUnavailable
from actorllama.kvcache import CacheOptions
from actorllama.runtime.names import model_name
from props.memories import CTX, CTX_MOST, DEMO, MEMORIES, N_SEQ, Memory
from props.stories import Act, Losses, Story, StoryPlan, acts, story_plans

Leaving: TypeAlias = Literal[
    "close", "cancel", "kill the model", "lose the last", "damage the last", "lose cells", "damage cells"
]
"""How a chapter ends: the runtime is closed; cancelled; lives on without its model's actor; is closed, and
the record of each text's last boundary is gone, or one of its bytes is another; or so are cells of some."""
LEAVINGS: tuple[Leaving, ...] = (
    "close",
    "close",
    "cancel",
    "kill the model",
    "lose the last",
    "damage the last",
    "lose cells",
    "damage cells",
)
CONTEXTS = (CTX, 130, 160)
_DAMAGED_AT = 4000
_BLOCK_TOKENS = 16  # short texts have several
_LIMIT_S = 60.0  # a program takes a tenth of a second; this much is a hang


@frozen(kw_only=True)
class Neighbour:
    """A turn of somebody else."""

    begins_as: int
    """The text whose prompt it begins with, in parts; none if there are not so many."""
    n_same: int
    prompt: tuple[int, ...]
    n_tokens: int
    seed: int
    leaves_after: int | None
    """How many pieces of text it reads before it goes away."""

    def whole_prompt(self, plans: Sequence[StoryPlan]) -> tuple[int, ...]:
        """Give its tokens."""
        same = plans[self.begins_as].prompt[: self.n_same] if self.begins_as < len(plans) else ()
        return same + self.prompt

    async def run(self, model: Model, prompt: tuple[int, ...]) -> TurnResult | None:
        """Take the turn; the model may be killed meanwhile, or have too little room."""
        with suppress(ModelUnavailable, ContextFull):
            async with model.stream(
                prompt, max_tokens=self.n_tokens, seed=self.seed, temperature=1.0, logprobs=0
            ) as turn:
                n_pieces = 0
                async for _piece in turn:
                    n_pieces += 1
                    if n_pieces == self.leaves_after:
                        break
            return turn.result if turn.is_done else None
        return None


@frozen(kw_only=True)
class Chapter:
    """What happens between two restarts."""

    acts: tuple[tuple[Act, ...], ...]
    """Of each text, in its order; the texts are told side by side."""
    neighbours: tuple[Neighbour, ...]
    leaving: Leaving
    n_seq: int
    ctx: int
    n_mixed: int
    n_reuse: int
    ram_limit_bytes: int

    @property
    def config(self) -> Config:
        """Options of the runtime that begins with this chapter."""
        return Config(
            engine=EngineOptions(n_mixed=self.n_mixed, n_reuse=self.n_reuse, max_restarts=1000),
            cache=CacheOptions(ram_limit_bytes=self.ram_limit_bytes, block_tokens=_BLOCK_TOKENS),
        )


@define(kw_only=True)
class Book:
    """Several texts, told side by side in one memory, chapter by chapter."""

    memory: Memory
    root: Path
    stories: list[Story] = field(factory=list[Story])
    alone: dict[Neighbour, TurnResult] = field(factory=dict[Neighbour, TurnResult])
    """What neighbours say if nobody is beside them."""
    losses: Losses = field(factory=Losses)
    leaving: Leaving = "close"

    async def tell(self, plans: list[StoryPlan], chapters: list[Chapter]) -> None:
        """Tell the whole program and check every text."""
        await self.begin(plans, [neighbour for chapter in chapters for neighbour in chapter.neighbours])
        left = list(chapters)
        while left:
            with trio.CancelScope() as scope:
                async with self.open(left[0]) as (rt, model):
                    while left and (await self.live(rt, model, left.pop(0), scope)) == "kill the model":
                        pass
            self.check_kept()
            self.lose(self.leaving)
        last = evolve(chapters[0], n_seq=N_SEQ, ctx=max(CONTEXTS))
        async with self.open(last) as (_, model), trio.open_nursery() as nursery:
            for story in self.stories:
                nursery.start_soon(story.finish, model)
        async with self.open(last) as (_, model):
            for story in self.stories:
                assert story.is_over
                await story.go_beyond(model)

    async def begin(self, plans: list[StoryPlan], neighbours: list[Neighbour]) -> None:
        """Tell everything without a break, one after the other, each computed whole."""
        n_spare = int(self.memory.lends_cells)
        async with open_runtime(Config(engine=EngineOptions(prefix_cache=False))) as rt:
            model = await rt.load("whole", self.memory.path, **self.memory.options(ctx_per_seq=CTX_MOST))
            for plan in plans:
                whole = await plan.tell_whole(model)
                story = Story(plan=plan, whole=whole, losses=self.losses, n_spare=n_spare)
                self.stories.append(story)
            for neighbour in neighbours:
                result = await evolve(neighbour, leaves_after=None).run(model, neighbour.whole_prompt(plans))
                assert result is not None
                self.alone[neighbour] = result

    @asynccontextmanager
    async def open(self, chapter: Chapter) -> AsyncGenerator[tuple[Runtime, Model]]:
        """Open a runtime on the one directory."""
        options = self.memory.options(n_seq=chapter.n_seq, ctx_per_seq=chapter.ctx)
        for story in self.stories:
            story.ctx = chapter.ctx
        async with open_runtime(chapter.config, state_dir=self.root) as rt:
            yield rt, await rt.load("told", self.memory.path, **options)

    async def beside(self, model: Model, neighbour: Neighbour) -> None:
        """Take somebody else's turn; what says that it is exact is what it would be alone."""
        plans = [story.plan for story in self.stories]
        result = await neighbour.run(model, neighbour.whole_prompt(plans))
        if result is not None and result.exactness == "exact":
            want, n = self.alone[neighbour], len(result.tokens)
            assert result.tokens == want.tokens[:n]
            assert (result.logprobs or ()) == (want.logprobs or ())[:n]
            assert n == len(want.tokens) or result.finish_reason == "context"

    async def live(self, rt: Runtime, model: Model, chapter: Chapter, scope: trio.CancelScope) -> Leaving:
        """Do what a chapter says, and leave its runtime as it says."""

        async def act(story: Story, all_of_it: tuple[Act, ...]) -> None:
            for one in all_of_it:
                await story.act(model, one)

        async with trio.open_nursery() as others:
            for neighbour in chapter.neighbours:
                others.start_soon(self.beside, model, neighbour)
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
                assert part.key in self.losses.keys or self.files(part.key)

    def lose(self, leaving: Leaving) -> None:
        """Take the last boundary of each text away, or cells, or damage them."""
        lasts = {story.last.key for story in self.stories if story.last is not None}
        match leaving:
            case "lose the last" | "damage the last":
                self.losses.keys |= lasts
                files = [file for key in lasts for file in self.files(key)]
            case "lose cells" | "damage cells":
                # Every other file: of some turns all cells are there, of some a part, of some none.
                files = sorted((*self.root.rglob("*.block"), *self.root.rglob("*.boundary")))[::2]
                self.losses.has_rows = self.losses.has_rows or bool(files)
            case _:
                return
        for file in files:
            data = bytearray(file.read_bytes())
            data[min(_DAMAGED_AT, len(data) - 1)] ^= 1
            if leaving.startswith("lose"):
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
        begins_as=st.integers(0, 3),
        n_same=st.integers(1, 70),
        prompt=st.lists(st.integers(4, 250), min_size=1, max_size=40).map(tuple),
        n_tokens=st.integers(1, 30),
        seed=st.integers(0, 9),
        leaves_after=st.one_of(st.none(), st.integers(0, 9)),
    )
    chapter = st.builds(
        Chapter,
        acts=st.lists(acts(), min_size=1, max_size=3).map(tuple),
        neighbours=st.lists(neighbour, max_size=3).map(tuple),
        leaving=st.sampled_from(LEAVINGS),
        n_seq=st.sampled_from([N_SEQ, 1, 2, 4]),
        ctx=st.sampled_from(CONTEXTS),
        n_mixed=st.sampled_from([256, 2, 7]),
        n_reuse=st.sampled_from([32, 1, 6]),
        ram_limit_bytes=st.sampled_from([1 << 30, 0, 20_000]),
    )
    return st.lists(chapter, min_size=1, max_size=4)


def tell(memory: Memory, plans: list[StoryPlan], program: list[Chapter]) -> None:
    """Run one program in a directory of its own."""
    with TemporaryDirectory(prefix="actorllama-prop-") as root:
        book = Book(memory=memory, root=Path(root))

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
