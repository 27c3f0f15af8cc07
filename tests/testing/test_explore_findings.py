"""What an exploration reports besides errors, and that it ends and cleans up in all cases."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest
import trio
import trio._core._run as trio_run

from actorllama.testing import (
    Deadlock,
    ExplorationRunning,
    Livelock,
    ScheduleFailed,
    UncontrolledNondeterminism,
    dfs,
    explore,
    fifo,
    random,
)


async def fails_never() -> None:
    """Two tasks that share nothing."""
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(trio.lowlevel.checkpoint)


async def two_forks() -> None:
    """Deadlock if both philosophers hold one fork."""
    left, right = trio.Lock(), trio.Lock()

    async def eat(first: trio.Lock, second: trio.Lock) -> None:
        async with first, second:
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(eat, left, right)
        nursery.start_soon(eat, right, left)


def test_a_deadlock_is_a_failure_that_names_who_waits_where() -> None:
    with pytest.raises(ScheduleFailed) as failed:
        explore(two_forks, strategy=dfs())
    deadlock = failed.value.original
    assert isinstance(deadlock, Deadlock)
    waiting = [line for line in deadlock.blocked if line.startswith("eat ")]
    assert len(waiting) == 2
    assert all(".acquire()" in line and "test_explore_findings.py:" in line for line in waiting)


def test_a_deadlock_behind_a_shield_does_not_hang() -> None:
    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

    with pytest.raises(ScheduleFailed) as failed:
        explore(scenario, strategy=fifo())
    assert isinstance(failed.value.original, Deadlock)
    assert any("trio's own code in sleep_forever()" in line for line in failed.value.original.blocked)


def test_waiting_with_a_deadline_is_no_deadlock() -> None:
    async def scenario() -> None:
        with trio.move_on_after(1e6):
            await trio.sleep_forever()

    assert explore(scenario, strategy=fifo()).n_runs == 1


def test_a_scenario_that_never_ends_is_a_livelock() -> None:
    async def scenario() -> None:
        while True:
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled:
                continue  # the worst citizen: it ignores cancellation too

    with pytest.raises(ScheduleFailed) as failed:
        explore(scenario, strategy=fifo(), max_ticks=50)
    assert isinstance(failed.value.original, Livelock)
    assert failed.value.original.max_ticks == 50


def test_the_invariant_is_checked_at_every_step() -> None:
    inside = 0

    async def scenario() -> None:
        nonlocal inside
        inside = 0

        async def enter() -> None:
            nonlocal inside
            inside += 1
            await trio.lowlevel.checkpoint()
            inside -= 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter)
            nursery.start_soon(enter)

    def alone() -> None:
        assert inside <= 1

    with pytest.raises(ScheduleFailed) as failed:
        explore(scenario, strategy=random(0), invariant=alone)
    assert isinstance(failed.value.original, AssertionError)


def test_clean_up_runs_after_a_finding() -> None:
    cleaned: list[str] = []

    async def scenario() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
            cleaned.append("yes")

    with pytest.raises(ScheduleFailed):
        explore(scenario, strategy=fifo())
    assert cleaned == ["yes", "yes"]  # the finding, and the run that confirmed it


def test_state_from_outside_the_scenario_is_called_out() -> None:
    n_runs = 0

    async def scenario() -> None:
        nonlocal n_runs
        n_runs += 1
        assert n_runs != 3

    with pytest.raises(UncontrolledNondeterminism):
        explore(scenario, strategy=random(0, n_runs=5))


def test_runs_are_compared_on_request() -> None:
    n_runs = 0

    async def scenario() -> None:
        nonlocal n_runs
        n_runs += 1
        for _ in range(n_runs):
            await trio.lowlevel.checkpoint()

    explore(fails_never, strategy=random(0, n_runs=5), checks_determinism=True)
    with pytest.raises(UncontrolledNondeterminism):
        explore(scenario, strategy=fifo(), checks_determinism=True)


def test_waiting_for_a_thread_is_called_out() -> None:
    async def scenario() -> None:
        await trio.to_thread.run_sync(lambda: threading.Event().wait(0.02))

    with pytest.raises(UncontrolledNondeterminism, match="thread"):
        explore(scenario, strategy=fifo())


def test_time_is_virtual_and_part_of_the_schedule() -> None:
    async def scenario() -> None:
        began = trio.current_time()
        await trio.sleep(3600)
        assert trio.current_time() == began + 3600

    explore(scenario, strategy=fifo())


@pytest.mark.parametrize("scenario", [fails_never, two_forks])
def test_trio_gets_its_scheduler_back(scenario: Callable[[], object]) -> None:
    before = trio_run._r, trio_run._ALLOW_DETERMINISTIC_SCHEDULING

    async def run() -> None:
        await (two_forks() if scenario is two_forks else fails_never())

    try:
        explore(run, strategy=dfs(3))
    except ScheduleFailed:
        assert scenario is two_forks
    assert (trio_run._r, trio_run._ALLOW_DETERMINISTIC_SCHEDULING) == before


def test_what_is_not_an_exception_passes_with_the_replay() -> None:
    before = trio_run._r

    async def scenario() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupt:
        explore(scenario, strategy=fifo())
    assert interrupt.value.__notes__ == ["schedule: s1:"]
    assert trio_run._r is before


async def test_exploring_inside_a_loop_is_refused() -> None:
    with pytest.raises(ExplorationRunning):
        explore(fails_never)


async def test_other_threads_may_explore_while_a_loop_runs() -> None:
    n_steps = 0

    async def step() -> None:
        nonlocal n_steps
        while True:
            await trio.lowlevel.checkpoint()
            n_steps += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(step)
        strategy = random(0, n_runs=20)
        exploration = await trio.to_thread.run_sync(lambda: explore(fails_never, strategy=strategy))
        nursery.cancel_scope.cancel()
    assert exploration.n_distinct > 5
    assert n_steps > 0


def test_an_exploration_inside_another_one_is_refused() -> None:
    async def scenario() -> None:
        explore(fails_never)

    with pytest.raises(ScheduleFailed) as failed:
        explore(scenario, strategy=fifo())
    assert isinstance(failed.value.original, ExplorationRunning)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_not_even_a_task_that_catches_everything_hangs_the_exploration() -> None:
    """Its trio.run is given up as it stands; what Python says about the remains is not our concern."""

    async def scenario() -> None:
        while True:
            try:
                await trio.lowlevel.checkpoint()
            except BaseException:  # noqa: BLE001 -- the worst citizen of all
                continue

    with pytest.raises(ScheduleFailed) as failed:
        explore(scenario, strategy=fifo(), max_ticks=50)
    assert isinstance(failed.value.original, Livelock)
    del failed
    gc.collect()
    assert explore(fails_never, strategy=fifo()).n_runs == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_not_even_a_wait_that_cannot_be_aborted_hangs_the_exploration() -> None:
    async def scenario() -> None:
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    with pytest.raises(ScheduleFailed) as failed:
        explore(scenario, strategy=fifo())
    assert isinstance(failed.value.original, Deadlock)
    del failed
    gc.collect()


def test_an_error_in_a_nursery_is_told_by_its_own_name() -> None:
    async def fail() -> None:
        raise ZeroDivisionError("the first line\nand more")

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)

    with pytest.raises(ScheduleFailed, match="ZeroDivisionError: the first line\n") as failed:
        explore(scenario, strategy=fifo())
    assert isinstance(failed.value.original, ExceptionGroup)
