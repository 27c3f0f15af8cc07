"""The credit of a turn's reader: it goes back with the next text, and wakes trio only where it must."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Literal, cast

import trio
import trio.testing

from actorllama.aio.inbox import QueueInbox
from actorllama.aio.job import Job
from actorllama.aio.portal import Portal
from actorllama.aio.reader import TurnReader, telling
from actorllama.engine import TextPiece, TurnStream
from actorllama.runtime import Turn
from actorllama.testing.fake_backend import FakeBackend
from tests.aio.aio_rig import open_model, run, wait_until

WINDOW = 9


class Door:
    """A portal whose trio side is whoever asks."""

    def __init__(self) -> None:
        self.n_woken = 0

    def submit(self, job: Job[object]) -> Job[object]:
        return job

    def run_soon(self, action: Callable[[], None]) -> None:
        self.n_woken += 1
        action()


async def read(*sizes: int) -> tuple[list[TextPiece], int, int]:
    """Push pieces of so many tokens and read each; give them, the wake-ups, the credit that went back."""
    stream = TurnStream(window=WINDOW)
    granted: list[int] = []
    stream.connect(granted.append)

    @asynccontextmanager
    async def open_turn() -> AsyncGenerator[Turn, None]:
        yield Turn(7, stream)

    door = Door()
    inbox = QueueInbox()
    reader = TurnReader(cast("Portal", door), inbox, telling(open_turn))
    pieces: list[TextPiece] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.job.run)
        await trio.testing.wait_all_tasks_blocked()
        inbox.wait_until(lambda: reader.is_opened)
        for size in sizes:
            stream.push("x" * size, size)
            inbox.wait_until(lambda: reader.has_news)
            piece = reader.take()
            assert piece is not None
            pieces.append(piece)
        stream.close()
    return pieces, door.n_woken, sum(granted)


async def test_small_pieces_give_their_credit_back_without_a_wake_up() -> None:
    pieces, n_woken, n_granted = await read(*[2] * 12)
    assert [piece.n_tokens for piece in pieces] == [2] * 12
    assert n_woken == 0
    assert n_granted >= 24 - WINDOW


async def test_a_third_of_a_window_goes_back_at_once() -> None:
    pieces, n_woken, n_granted = await read(*[3] * 6)
    assert [piece.text for piece in pieces] == ["xxx"] * 6
    assert n_woken == 6
    assert n_granted >= 18 - WINDOW // 2


def test_a_turn_that_is_over_leaves_nothing_to_the_collector(
    backend: FakeBackend, mode: Literal["thread", "guest"]
) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            async with model.stream("hello", max_tokens=20, temperature=0.0) as turn:
                async for _piece in turn:
                    pass
            whole = weakref.ref(turn._reader)
            async with model.stream("hello", temperature=0.0, window=4) as turn:
                await anext(turn)
            left = weakref.ref(turn._reader)
            del turn
            await wait_until(lambda: whole() is None and left() is None)

    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()
