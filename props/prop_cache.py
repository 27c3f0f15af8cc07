"""Whatever was kept, evicted, damaged or cancelled before: a turn brings what it brings alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias
from unittest.mock import patch

import trio
from attrs import define, field, frozen
from hypothesis import event, given
from hypothesis import strategies as st

from actorllama import Config, Model, TurnResult, open_runtime
from actorllama.engine import EngineOptions
from actorllama.errors import ContextFull, SnapshotNotFound
from actorllama.kvcache import CacheOptions
from actorllama.native import SamplingParams
from actorllama.runtime.names import CACHE_NAME
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.fake_oracle import expected_turn

CTX = 72
LANGUAGE = FakeLanguage(end_one_in=20)
BASES = (tuple(range(20, 60)), (*range(20, 40), *range(80, 95)), tuple(range(120, 131)))

Harm: TypeAlias = Literal["delete", "flip", "cut"]


@frozen(kw_only=True)
class Ask:
    """One turn."""

    base: int
    n_base: int
    suffix: tuple[int, ...]
    n_tokens: int
    seed: int | None
    keep: bool
    resumes: int | None
    """Which of the keys that are known then; ``None`` is a fresh prompt."""
    leaves_after: int | None
    """Steps of the event loop after which its caller leaves."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """Token ids."""
        return (*BASES[self.base][: self.n_base], *self.suffix)

    @property
    def sampling(self) -> SamplingParams:
        """Greedy, or with draws."""
        if self.seed is None:
            return SamplingParams(temperature=0.0)
        return SamplingParams(temperature=1.0, seed=self.seed)


@frozen(kw_only=True)
class Chapter:
    """The life of one runtime: batches of turns that come together, and harm to its files at the end."""

    n_seq: int
    ram_limit_bytes: int
    has_prefix_cache: bool
    batches: tuple[tuple[Ask, ...], ...]
    harms: tuple[tuple[Harm, int], ...]
    """What is done to which file, and where in it."""


@frozen(kw_only=True)
class Kept:
    """What a key stands for."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    sampling: SamplingParams
    is_over: bool


@define
class History:
    """All that was ever computed or kept, by name."""

    keys: dict[str, Kept] = field(factory=dict[str, Kept])
    computed: list[tuple[int, ...]] = field(factory=list[tuple[int, ...]])
    n_cached: int = 0
    n_lost: int = 0
    sources: set[str | None] = field(factory=set[str | None])

    def longest(self, prompt: Sequence[int]) -> int:
        """Count the tokens that something computed has in common with a prompt, at most."""
        return max((_n_common(tokens, prompt) for tokens in self.computed), default=0)


def _n_common(one: Sequence[int], other: Sequence[int]) -> int:
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n


def asks() -> st.SearchStrategy[Ask]:
    """Draw turns of which many begin alike."""
    return st.builds(
        Ask,
        base=st.integers(0, 2),
        n_base=st.integers(0, 40),
        suffix=st.lists(st.integers(0, 3), min_size=1, max_size=8).map(tuple),
        n_tokens=st.integers(1, 12),
        seed=st.sampled_from([None, None, 1, 2]),
        keep=st.booleans(),
        resumes=st.sampled_from([None, None, None, 0, 1, 5]),
        leaves_after=st.sampled_from([None, None, None, 3, 40, 150]),
    )


def chapters() -> st.SearchStrategy[Chapter]:
    """Draw lives of runtimes, with much memory or hardly any."""
    return st.builds(
        Chapter,
        n_seq=st.integers(1, 4),
        ram_limit_bytes=st.sampled_from([1 << 20, 1 << 20, 4000, 1500, 0]),
        has_prefix_cache=st.sampled_from([True, True, True, False]),
        batches=st.lists(st.lists(asks(), min_size=1, max_size=5).map(tuple), min_size=1, max_size=4).map(
            tuple
        ),
        harms=st.lists(
            st.tuples(st.sampled_from(["delete", "flip", "cut"]), st.integers(0, 1 << 16)), max_size=3
        ).map(tuple),
    )


@asynccontextmanager
async def open_chapter(chapter: Chapter, backend: FakeBackend, root: Path) -> AsyncGenerator[Model, None]:
    config = Config(
        engine=EngineOptions(n_reuse=4, prefix_cache=chapter.has_prefix_cache),
        cache=CacheOptions(block_tokens=4, ram_limit_bytes=chapter.ram_limit_bytes),
    )
    async with open_runtime(config, backend=backend, state_dir=root) as rt:
        model = await rt.load("fake", "x.gguf", n_seq=chapter.n_seq, ctx_per_seq=CTX, n_batch=12)
        yield model
        status = await model.status()
        assert (status.n_free_slots, status.n_queued) == (chapter.n_seq, 0)
        assert rt.system.whereis(CACHE_NAME) is not None


async def take(ask: Ask, model: Model, history: History) -> None:
    """Take a turn and compare it with the oracle's."""
    keys = list(history.keys)
    key = keys[ask.resumes % len(keys)] if ask.resumes is not None and keys else None
    before = history.keys[key] if key is not None else None
    if before is not None and before.is_over:
        return
    prompt = ask.prompt if before is None else before.prompt
    said = () if before is None else before.tokens
    sampling = ask.sampling if before is None else before.sampling
    want = expected_turn(LANGUAGE, prompt, sampling, max_tokens=len(said) + ask.n_tokens, ctx_per_seq=CTX)
    history.computed.append((*prompt, *want.tokens))
    n_others = len(history.computed)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            if ask.leaves_after is not None:
                nursery.start_soon(_leave, scope, ask.leaves_after)
            try:
                if key is None:
                    result = await model.complete(
                        prompt,
                        max_tokens=ask.n_tokens,
                        keep=ask.keep,
                        temperature=sampling.temperature,
                        seed=sampling.seed,
                    )
                else:
                    result = await model.resume(key, max_tokens=ask.n_tokens, keep=ask.keep)
            except (SnapshotNotFound, ContextFull):
                history.n_lost += 1
                assert key is not None
                nursery.cancel_scope.cancel()
                return
            nursery.cancel_scope.cancel()
        assert (*said, *result.tokens) == want.tokens
        assert result.finish_reason == want.finish_reason
        _note(result, (*prompt, *said), n_others, history)
        if result.resume_key is not None:
            history.keys[result.resume_key] = Kept(
                prompt=prompt,
                tokens=want.tokens,
                sampling=sampling,
                is_over=result.finish_reason != "length",
            )


def _note(result: TurnResult, prompt: tuple[int, ...], n_others: int, history: History) -> None:
    """Insist that nothing was reused that nobody can have computed."""
    others = [*history.computed[: n_others - 1], *history.computed[n_others:]]
    assert result.usage.n_cached <= max((_n_common(tokens, prompt) for tokens in others), default=0)
    assert result.usage.n_cached < len(prompt)
    assert (result.usage.source is None) == (result.usage.n_cached == 0)
    history.n_cached += result.usage.n_cached
    history.sources.add(result.usage.source)


async def _leave(scope: trio.CancelScope, n_steps: int) -> None:
    for _ in range(n_steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()


def harm(root: Path, kind: Harm, at: int) -> None:
    """Do something to one of the files."""
    files = sorted(path for path in (root / "snapshots").rglob("*") if path.is_file())
    if not files:
        return
    path = files[at % len(files)]
    data = bytearray(path.read_bytes())
    match kind:
        case "delete":
            path.unlink()
        case "flip" if data:
            data[at % len(data)] ^= 1 << at % 8
            path.write_bytes(data)
        case _:
            path.write_bytes(data[: len(data) // 2])


@given(story=st.lists(chapters(), min_size=1, max_size=3), is_measured=st.booleans())
def prop_a_turn_brings_what_it_brings_alone(story: list[Chapter], is_measured: bool) -> None:
    """Shared beginnings, cancels, kept turns, little memory, other runtimes, damaged files."""
    history = History()

    async def main(root: Path) -> None:
        for chapter in story:
            backend = FakeBackend(LANGUAGE)
            with trio.fail_after(60):
                async with open_chapter(chapter, backend, root) as model:
                    for batch in chapter.batches:
                        async with trio.open_nursery() as nursery:
                            for ask in batch:
                                nursery.start_soon(take, ask, model, history)
                    await _wait_idle(model)
            backend.ledger.check()
            for kind, at in chapter.harms:
                harm(root, kind, at)

    n_measured = 64 if is_measured else 1 << 60  # what the fake computes is quicker than any restore
    with (
        TemporaryDirectory() as directory,
        patch("actorllama.engine.context_cells._N_MEASURED", n_measured),
    ):
        trio.run(partial(main, Path(directory)))
    for source in history.sources:
        event(f"source {source}")
    event(f"lost {history.n_lost > 0}")


async def _wait_idle(model: Model) -> None:
    while (status := await model.status()).n_free_slots < status.n_seq or status.n_queued:
        await trio.lowlevel.checkpoint()
