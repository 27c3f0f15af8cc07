"""The loop guard catches what holds up the loop, and only that."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from actorllama.testing import LoopBlocked, LoopGuard, guard_loop, loop_guard


async def block() -> None:
    threading.Event().wait(0.02)
    await trio.lowlevel.checkpoint()


async def compute() -> None:
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        pass
    await trio.lowlevel.checkpoint()


async def block_and_fail() -> None:
    await block()
    raise ZeroDivisionError


async def guarded(work: Callable[[], Awaitable[None]]) -> None:
    with guard_loop(limit_s=0.01):
        await work()


async def test_a_step_that_blocks_is_caught() -> None:
    with pytest.raises(LoopBlocked) as blocked:
        await guarded(block)
    assert blocked.value.steps[0].step_s > 0.01
    assert "test_a_step_that_blocks_is_caught" in blocked.value.steps[0].task


async def test_a_step_that_computes_is_caught() -> None:
    with pytest.raises(LoopBlocked):
        await guarded(compute)


async def test_the_last_step_of_the_block_counts_too() -> None:
    with pytest.raises(LoopBlocked), guard_loop(limit_s=0.01):
        threading.Event().wait(0.02)


async def test_work_in_a_thread_leaves_the_loop_free() -> None:
    with guard_loop(limit_s=0.02) as guard:
        await trio.to_thread.run_sync(lambda: threading.Event().wait(0.03))
    assert guard.slow_steps == []


async def test_a_collection_of_garbage_is_nobodys_step() -> None:
    """It takes as long as there are objects in the process, and comes when it likes."""
    held = [[object()] for _ in range(100_000)]
    with guard_loop(limit_s=0.01) as guard:
        gc.collect()
        await trio.lowlevel.checkpoint()
        assert guard.slow_steps == []
        before = len(gc.callbacks)
    assert len(gc.callbacks) == before - 1
    del held


async def test_time_in_line_for_a_cpu_is_not_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel tells it: here of a step that waited for a thread, which waited for its turn."""
    told_s = [1.0]
    monkeypatch.setattr(loop_guard, "_queued_s", lambda: told_s[0])
    guarding = guard_loop(limit_s=0.01)
    guard = guarding.__enter__()
    told_s[0] = 1000.0
    await block()
    assert guard.slow_steps == []
    await block()
    with pytest.raises(LoopBlocked):
        guarding.__exit__(None, None, None)


async def test_where_the_kernel_does_not_tell_nothing_is_taken_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert loop_guard._queued_s() >= 0
    monkeypatch.setattr(loop_guard, "_THREADS", tmp_path / "none")
    assert loop_guard._queued_s() == 0
    with pytest.raises(LoopBlocked):
        await guarded(block)


async def test_an_error_in_the_block_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        await guarded(block_and_fail)


async def test_the_fixture_watches_the_test_that_asks_for_it(loop_stays_free: LoopGuard) -> None:
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    assert loop_stays_free.longest_s > 0
