"""Turns whose text is handed to a function: for readers that are elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from actorllama import Turn
from actorllama.engine import TextPiece
from actorllama.errors import RequestError
from actorllama.testing.fake_backend import FakeBackend
from tests.runtime.model_rig import expected, greedy, open_model, wait_until_idle

pytestmark = pytest.mark.usefixtures("loop_stays_free")


class Reader:
    """Reads each piece at once, or keeps its credit."""

    def __init__(self, *, gives_back: bool) -> None:
        self.texts: list[str] = []
        self.has_begun = trio.Event()
        self._gives_back = gives_back
        self._give_back: Callable[[int], None] | None = None

    def begin(self, turn: Turn) -> None:
        self._give_back = turn.divert(self._hear)

    def _hear(self, piece: TextPiece) -> None:
        self.texts.append(piece.text)
        self.has_begun.set()
        if self._gives_back and self._give_back is not None:
            self._give_back(piece.n_tokens)


async def test_what_was_told_adds_up_to_the_result(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        reader = Reader(gives_back=True)
        result = await model.tell(reader.begin, "hello", max_tokens=40, temperature=0.0, window=4)
        assert "".join(reader.texts) == result.text == expected(backend, "hello", max_tokens=40).text


async def test_a_reader_that_keeps_its_credit_holds_back_only_itself(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model), trio.open_nursery() as nursery:
        reader = Reader(gives_back=False)

        async def tell() -> None:
            await model.tell(reader.begin, "slow", temperature=0.0, window=4)

        nursery.start_soon(tell)
        await reader.has_begun.wait()
        for _ in range(5):
            await greedy(model, "quick")
        assert (await model.status()).n_live == 1
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_until_idle(model)


async def test_a_turn_refused_at_the_door_never_begins(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        reader = Reader(gives_back=True)
        with pytest.raises(RequestError, match="window"):
            await model.tell(reader.begin, "hello", window=1)
        with pytest.raises(RequestError, match="max_tokens"):
            await model.tell(reader.begin, "hello", max_tokens=-1)
        assert not reader.has_begun.is_set()
