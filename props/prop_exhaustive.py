"""Small scenarios under every schedule with few delays: what random schedules could miss for long."""

from __future__ import annotations

import itertools
import math

import pytest
import trio
from hypothesis import settings
from trio.testing import wait_all_tasks_blocked

from actorllama.actors import Crash, Killed, Ref, open_system
from actorllama.errors import ActorExited, CallTimeout
from actorllama.testing import dfs, explore
from props.counter import Add, AddSlowly, Boom, Counter
from props.family import Family
from props.supervisor_model import ModelSpec, SupervisorModel

pytestmark = pytest.mark.slow


def bound() -> int:
    """Two delays where a run may take its time, one at a developer's desk."""
    return 1 if settings.default is not None and settings.default.max_examples <= 25 else 2


@pytest.mark.parametrize("end", ["crash", "kill", "stop"])
def prop_a_server_that_ends_under_its_callers_answers_each_of_them(end: str) -> None:
    """Two callers, one who ends the server, and a successor under the same name."""

    async def scenario() -> None:
        outcomes: list[int | type] = []

        async def ask(ref: Ref) -> None:
            try:
                outcomes.append(await ref.call(Add(1), timeout_s=math.inf))
            except ActorExited as exited:
                outcomes.append(type(exited.reason))

        async def finish(ref: Ref) -> None:
            match end:
                case "kill":
                    system.kill(ref, why="a stranger")
                case "stop":
                    await ref.stop()
                case _:
                    with pytest.raises(ActorExited) as exited:
                        await ref.call(Boom(), timeout_s=math.inf)
                    assert isinstance(exited.value.reason, Crash)

        async with open_system(messages_per_step=1) as system:
            ref = await system.start(Counter, name="counter")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, ref)
                nursery.start_soon(finish, ref)
                nursery.start_soon(ask, ref)
            assert len(outcomes) == 2
            assert sorted(sum_ for sum_ in outcomes if isinstance(sum_, int)) in ([], [1], [1, 2])
            assert isinstance(ref.exit_reason, Killed) == (end == "kill")
            again = await system.start(Counter, name="counter")
            assert await again.call(Add(5)) == 5

    assert explore(scenario, strategy=dfs(bound(), max_runs=20_000)).is_complete


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
def prop_two_children_that_die_at_once_are_both_back(strategy: str) -> None:
    async def scenario() -> None:
        model = SupervisorModel(strategy=strategy, max_restarts=2)  # type: ignore[arg-type] # parametrised
        specs = [ModelSpec(id=child) for child in "abc"]
        async with open_system(messages_per_step=1) as system:
            real = Family(system=system, model=model)
            supervisor = await real.start(specs)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(real.end_child, "a", "crash")
                nursery.start_soon(real.end_child, "c", "killed")
            await wait_all_tasks_blocked()
            assert supervisor.is_alive
            assert await real.which() == [(child, "running") for child in "cba"]
        starts = [child for what, child in real.events if what == "init"]
        assert starts[:3] == ["a", "b", "c"]
        assert all(starts.count(child) <= 3 for child in "abc")
        assert system.refs() == ()

    assert explore(scenario, strategy=dfs(bound(), max_runs=20_000)).is_complete


def prop_a_timeout_may_win_against_a_reply_that_is_ready() -> None:
    """Whoever wins, the caller hears once and the server lives on; time passes while tasks are slow."""
    outcomes: set[object] = set()

    async def scenario() -> None:
        async with open_system(messages_per_step=1) as system:
            ref = await system.start(Counter)
            numbers = itertools.count()
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(ask, ref, next(numbers))
            assert await ref.call(Add(0), timeout_s=math.inf) == 2

    async def ask(ref: Ref, number: int) -> None:
        try:
            sum_ = await ref.call(AddSlowly(1, 1.0), timeout_s=2.5)
        except CallTimeout:
            outcomes.add((number, "timeout"))
        else:
            outcomes.add((number, sum_))

    explored = explore(scenario, strategy=dfs(bound(), max_runs=20_000), lets_time_pass=True)
    assert explored.is_complete
    assert (0, 1) in outcomes
    assert (0, "timeout") in outcomes or (1, "timeout") in outcomes
