"""Virtual time under the test's own hand.

``trio.testing.MockClock(autojump_threshold=0)`` jumps whenever all tasks wait, which is what ``explore``
uses. A test that wants to look between two deadlines moves a clock without autojump by `advance`.
"""

from __future__ import annotations

import math

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

__all__ = ["advance"]


async def advance(clock: MockClock, seconds: float) -> None:
    """Move a clock forward, stopping at every deadline on the way until all other tasks wait again.

    A plain ``clock.jump`` lets all deadlines inside the interval expire at once, and their tasks see the end
    of the interval as the time.

    Args:
        clock: The clock of this run, without autojump.
        seconds: How far, 0 or more.

    Raises:
        ValueError: ``seconds`` is negative.
    """
    if seconds < 0:
        raise ValueError(f"time does not run backwards: {seconds}")
    end = trio.current_time() + seconds
    await wait_all_tasks_blocked()
    while True:
        to_next_s = trio.lowlevel.current_statistics().seconds_to_next_deadline
        to_end_s = end - trio.current_time()
        if math.isinf(to_next_s) or to_next_s > to_end_s:
            clock.jump(max(0.0, to_end_s))
            return
        clock.jump(max(0.0, to_next_s))
        await wait_all_tasks_blocked()
