"""``advance`` stops at every deadline on its way."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from actorllama.testing import advance


def test_tasks_wake_at_their_own_time() -> None:
    clock = MockClock()
    woken: list[float] = []

    async def tick() -> None:
        for _ in range(5):
            await trio.sleep(1)
            woken.append(trio.current_time())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            await advance(clock, 2.5)
            assert trio.current_time() == 2.5
            assert woken == [1, 2]
            await advance(clock, 0.5)
            assert woken == [1, 2, 3]
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)


def test_time_moves_without_any_deadline_and_not_backwards() -> None:
    clock = MockClock()

    async def main() -> None:
        await advance(clock, 7)
        assert trio.current_time() == 7
        with pytest.raises(ValueError, match="backwards"):
            await advance(clock, -1)

    trio.run(main, clock=clock)
