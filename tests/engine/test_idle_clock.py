"""An actor hears once that it has not been used for a while, however often it was used before."""

from __future__ import annotations

from typing import cast

import pytest
import trio
from trio.testing import MockClock

from actorllama.actors import Context
from actorllama.engine.idle_clock import IdleClock


class Timers:
    """The part of an actor's context that sets timers."""

    def __init__(self) -> None:
        self.set: list[tuple[float, object]] = []

    def send_after(self, delay_s: float, message: object) -> None:
        self.set.append((trio.current_time() + delay_s, message))


@pytest.fixture
def timers() -> Timers:
    return Timers()


def idle_clock(timers: Timers) -> IdleClock:
    return IdleClock(cast("Context", timers), "idle", idle_s=3.0)


async def test_nothing_is_set_before_the_first_use(timers: Timers, mock_clock: MockClock) -> None:
    idle_clock(timers)
    assert timers.set == []


async def test_the_pause_after_the_last_use_is_heard_of(timers: Timers, mock_clock: MockClock) -> None:
    clock, now_s = idle_clock(timers), trio.current_time()
    clock.note_use()
    mock_clock.jump(1.0)
    clock.note_use()
    assert timers.set == [(now_s + 3.0, "idle")]
    mock_clock.jump(2.0)
    assert not clock.is_over()
    assert timers.set[1:] == [(now_s + 4.0, "idle")]
    mock_clock.jump(1.0)
    assert clock.is_over()
    assert len(timers.set) == 2
    assert clock.used_at_s == now_s + 1.0


async def test_after_a_pause_a_use_sets_the_next_timer(timers: Timers, mock_clock: MockClock) -> None:
    clock = idle_clock(timers)
    clock.note_use()
    mock_clock.jump(5.0)
    assert clock.is_over()
    clock.note_use()
    assert timers.set[1:] == [(trio.current_time() + 3.0, "idle")]
