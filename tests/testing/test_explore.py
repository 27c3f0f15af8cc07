"""``explore`` finds what it promises to find, counts what it ran, and reproduces it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import trio
from hypothesis import given, settings

from actorllama.testing import (
    ScheduleFailed,
    Strategy,
    UncontrolledNondeterminism,
    dfs,
    explore,
    fifo,
    pct,
    random,
    replay,
)
from actorllama.testing.strategies import schedules


async def lose_an_update(*, steps_between: int, results: set[int]) -> None:
    """Count to 5 in one task while another one adds 1 without a lock."""
    n = 0

    async def count() -> None:
        nonlocal n
        for _ in range(5):
            n += 1
            await trio.lowlevel.checkpoint()

    async def add_one() -> None:
        nonlocal n
        seen = n
        for _ in range(steps_between):
            await trio.lowlevel.checkpoint()
        n = seen + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add_one)
        nursery.start_soon(count)
    results.add(n)


async def four_updates_are_lost() -> None:
    results: set[int] = set()
    await lose_an_update(steps_between=1, results=results)
    assert results != {1}, "five updates lost: the adder was held back for five steps"


async def fails_at_depth_three() -> None:
    """Fail if all of ``b`` runs between the first and the second step of ``a``."""
    seen: list[str] = []

    async def step(name: str, n: int) -> None:
        for i in range(n):
            seen.append(f"{name}{i}")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(step, name, 4)
    order = "".join(seen)
    assert not (order.index("a0") < order.index("b0") and order.index("b3") < order.index("a1")), order


def test_first_come_first_served_runs_one_schedule() -> None:
    results: set[int] = set()

    async def scenario() -> None:
        await lose_an_update(steps_between=1, results=results)

    exploration = explore(scenario, strategy=fifo())

    assert (exploration.n_runs, exploration.n_distinct, exploration.is_complete) == (1, 1, False)
    assert len(results) == 1


def test_depth_first_search_completes_and_sees_every_outcome() -> None:
    results: set[int] = set()

    async def scenario() -> None:
        await lose_an_update(steps_between=1, results=results)

    exploration = explore(scenario, strategy=dfs())

    assert exploration.is_complete
    assert exploration.n_runs == exploration.n_distinct
    assert results == {1, 2, 3, 4, 5, 6}


def test_depth_first_search_runs_each_interleaving_once() -> None:
    """Two tasks of two steps: the six orders of aabb, and the nursery's owner anywhere before its tasks."""
    orders: list[str] = []

    async def scenario() -> None:
        order: list[str] = []

        async def twice(name: str) -> None:
            order.append(name)
            await trio.lowlevel.checkpoint()
            order.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(twice, "a")
            nursery.start_soon(twice, "b")
        orders.append("".join(order))

    exploration = explore(scenario, strategy=dfs())

    assert set(orders) == {"".join(order) for order in itertools.permutations("aabb")}
    assert exploration.n_distinct == exploration.n_runs == len(orders)


def test_a_delay_bound_limits_the_search() -> None:
    bounded = [explore(fails_never, strategy=dfs(bound)).n_runs for bound in (0, 1, 2)]
    assert bounded[0] == 1
    assert bounded == sorted(set(bounded))


def test_a_search_that_is_cut_short_says_so() -> None:
    assert not explore(fails_never, strategy=dfs(max_runs=3)).is_complete


async def fails_never() -> None:
    await lose_an_update(steps_between=1, results=set())


@pytest.mark.parametrize("strategy", [random(1, n_runs=300), pct(1, 3, n_runs=300), dfs()], ids=type)
def test_a_bug_that_needs_a_long_delay_is_found(strategy: Strategy) -> None:
    with pytest.raises(ScheduleFailed) as failed:
        explore(four_updates_are_lost, strategy=strategy)
    assert failed.value.needs_delay


def test_the_replay_string_reproduces_the_failure_exactly() -> None:
    with pytest.raises(ScheduleFailed) as first:
        explore(four_updates_are_lost, strategy=pct(1, 3, n_runs=300))
    with pytest.raises(ScheduleFailed) as again:
        explore(four_updates_are_lost, strategy=replay(first.value.replay))
    assert again.value.n_runs == 1
    assert again.value.replay == first.value.replay
    assert again.value.steps == first.value.steps
    assert str(again.value.original) == str(first.value.original)


def test_priorities_find_a_bug_of_depth_three() -> None:
    with pytest.raises(ScheduleFailed):
        explore(fails_at_depth_three, strategy=pct(0, 3, n_runs=200))
    explore(fails_at_depth_three, strategy=fifo())


def test_the_same_seed_runs_the_same_schedules() -> None:
    def outcomes(seed: int) -> list[int]:
        found: list[int] = []

        async def scenario() -> None:
            results: set[int] = set()
            await lose_an_update(steps_between=1, results=results)
            found.extend(results)

        explore(scenario, strategy=random(seed, n_runs=20))
        return found

    assert outcomes(3) == outcomes(3)
    assert outcomes(3) != outcomes(4)


@pytest.mark.slow
def test_under_hypothesis_schedules_differ_and_shrink_to_few_delays() -> None:
    seen: set[str] = set()

    @settings(max_examples=200, database=None, deadline=None, derandomize=True)
    @given(schedule=schedules())
    def law(schedule: Strategy) -> None:
        seen.add(repr(schedule))
        explore(three_updates_are_lost, strategy=schedule)

    with pytest.raises(ScheduleFailed) as failed:
        law()
    assert len(seen) > 20
    assert len(failed.value.replay.removeprefix("s1:").split(".")) <= 4, failed.value.replay


async def three_updates_are_lost() -> None:
    results: set[int] = set()
    await lose_an_update(steps_between=1, results=results)
    assert results != {3}


def test_time_passes_while_tasks_are_slow_only_on_request() -> None:
    async def scenario() -> None:
        with trio.move_on_after(1) as scope:
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
        assert not scope.cancelled_caught

    assert explore(scenario, strategy=dfs()).is_complete
    with pytest.raises(ScheduleFailed) as failed:
        explore(scenario, strategy=dfs(), lets_time_pass=True)
    assert any("time passes" in step for step in failed.value.steps)
    with pytest.raises(ScheduleFailed):
        explore(scenario, strategy=replay(failed.value.replay), lets_time_pass=True)


@pytest.mark.parametrize("strategy", [fifo, random, pct, dfs])
def test_a_strategy_that_needs_no_argument_may_be_given_by_its_name(strategy: Callable[[], Strategy]) -> None:
    async def scenario() -> None:
        await trio.lowlevel.checkpoint()

    assert explore(scenario, strategy=strategy).n_distinct == 1


def test_a_timer_that_rings_for_ever_does_not_starve_the_others() -> None:
    """Time is one of the tasks to PCT: it loses its lead as a task that spins does."""

    async def scenario() -> None:
        async def tick() -> None:
            while True:  # noqa: ASYNC110 -- the clock is the point
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    explore(scenario, strategy=pct(0, 2, n_runs=20), lets_time_pass=True)


def test_a_search_that_meets_other_choices_than_before_is_called_out() -> None:
    n_runs = 0

    async def scenario() -> None:
        nonlocal n_runs
        n_runs += 1
        async with trio.open_nursery() as nursery:
            for _ in range(2 if n_runs < 2 else 1):
                nursery.start_soon(trio.lowlevel.checkpoint)

    with pytest.raises(UncontrolledNondeterminism, match="other runnable tasks"):
        explore(scenario, strategy=dfs())


def test_a_bug_has_a_depth_of_one_at_least() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        pct(0, 0)
