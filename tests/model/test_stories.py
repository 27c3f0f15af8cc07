"""A real model says what it says, whatever runs beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from actorllama import Model, Runtime, open_runtime
from actorllama.errors import EngineError
from actorllama.native.rng import uniform

STORIES = Path(__file__).parents[2].parent / "shared/models/stories260K.gguf"
PROMPT = "Once upon a time, there was a little girl named Lily"
CONTINUED = ". She loved to play outside in the park. One day, she saw a big, red ball."

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(not STORIES.exists(), reason="../shared/models/stories260K.gguf is not there"),
]


@asynccontextmanager
async def open_stories(*, n_seq: int = 8) -> AsyncGenerator[tuple[Runtime, Model], None]:
    """Open a runtime with the storyteller."""
    async with open_runtime() as rt:
        yield rt, await rt.load("stories", STORIES, n_seq=n_seq, ctx_per_seq=256)


async def tell(model: Model) -> str:
    """Continue the prompt, greedily, to the length of what it is compared with."""
    result = await model.complete(PROMPT, max_tokens=48, temperature=0.0)
    return result.text[: len(CONTINUED)]


async def test_it_continues_the_story() -> None:
    async with open_stories() as (_, model):
        assert await tell(model) == CONTINUED


async def test_it_continues_the_story_beside_seven_others() -> None:
    async with open_stories() as (_, model), trio.open_nursery() as nursery:
        for index in range(7):
            nursery.start_soon(take, model, index, 1)
        assert await tell(model) == CONTINUED


async def test_it_continues_the_story_while_neighbours_come_and_are_cancelled() -> None:
    async with open_stories() as (_, model), trio.open_nursery() as nursery:
        for index in range(7):
            nursery.start_soon(come_and_go, model, index)
        for _ in range(4):
            assert await tell(model) == CONTINUED
        nursery.cancel_scope.cancel()


async def test_eight_tellers_at_once_tell_the_same() -> None:
    told: list[str] = []

    async def note(model: Model) -> None:
        told.append(await tell(model))

    async with open_stories() as (_, model), trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(note, model)
    assert told == [CONTINUED] * 8


async def take(model: Model, index: int, turn: int) -> None:
    """Take a turn of random length from another prompt."""
    n = 8 + int(uniform(index, turn) * 80)
    prompt = PROMPT[: 4 + index * 5] + " and" * (index * turn % 20)
    try:
        await model.complete(prompt, max_tokens=n, temperature=1.0, seed=index)
    except EngineError as error:
        pytest.fail(f"a neighbour failed: {error}")


async def come_and_go(model: Model, index: int) -> None:
    """Take turns for ever, and leave half of them at a random moment."""
    turn = 0
    while True:
        turn += 1
        with trio.move_on_after(0.002 + uniform(index, turn, stream=1) * 0.05):
            await take(model, index, turn)
