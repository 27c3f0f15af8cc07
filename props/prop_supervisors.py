"""Supervisors: whatever happens to the children, under every schedule, they do what the model does."""

from __future__ import annotations

import attrs
import trio
from hypothesis import given
from hypothesis import strategies as st

from actorllama.actors import Shutdown, open_system
from actorllama.errors import RestartIntensityReached
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules
from props.family import ChildEnds, Family, Operation, disturb_model
from props.strategies import families, operations
from props.supervisor_model import ModelSpec, SupervisorModel


@given(family=families(), operations=st.lists(operations(), min_size=3, max_size=12), schedule=schedules())
def prop_a_supervisor_does_what_the_model_does(
    family: tuple[SupervisorModel, list[ModelSpec]], operations: list[Operation], schedule: Strategy
) -> None:
    """Answers, children, order of inits and terminates, life and end: all as in the model, step by step."""
    blank, specs = family

    async def scenario() -> None:
        model = attrs.evolve(blank, children=[], restarts_at=[], events=[], failing_inits={})
        model.start(specs)
        async with open_system(messages_per_step=1) as system:
            real = Family(system=system, model=model)
            supervisor = await real.start(specs)
            for operation in operations:
                answer = await real.disturb(operation)
                await real.settle()
                assert disturb_model(model, operation) == answer, operation
                assert real.events == model.events, operation
                assert supervisor.is_alive == model.is_alive, operation
                if not model.is_alive:
                    assert isinstance(supervisor.exit_reason, Shutdown)
                    break
                assert await real.which() == model.which(), operation
        model.shut_down()
        assert real.events == model.events
        assert system.refs() == ()
        assert len(system.names) == 0

    explore(scenario, strategy=schedule)


@given(
    family=families(),
    ends=st.lists(operations(ends_only=True), min_size=2, max_size=5),
    schedule=schedules(),
)
def prop_ends_at_the_same_time_leave_nothing_half_done(
    family: tuple[SupervisorModel, list[ModelSpec]], ends: list[ChildEnds], schedule: Strategy
) -> None:
    """Children that end together: afterwards the supervisor is dead, or all that must run do."""
    blank, specs = family

    async def scenario() -> None:
        n_tasks = trio.lowlevel.current_statistics().tasks_living
        async with open_system(messages_per_step=1) as system:
            real = Family(system=system, model=blank)
            supervisor = await real.start(specs)
            async with trio.open_nursery() as nursery:
                for end in ends:
                    nursery.start_soon(real.end_child, end.child, end.why)
            await real.settle()
            if supervisor.is_alive:
                states = dict(await real.which())
                for spec in specs:
                    assert spec.restart != "permanent" or states[spec.id] == "running"
            else:
                assert isinstance(supervisor.exit_reason, Shutdown)
                gave_up = isinstance(supervisor.exit_reason.term, RestartIntensityReached)
                assert not gave_up or len(ends) > blank.max_restarts
                assert system.refs() == ()
        n_inits = sum(what == "init" for what, _ in real.events)
        assert n_inits <= len(specs) * (1 + len(ends))
        assert system.refs() == ()
        assert trio.lowlevel.current_statistics().tasks_living == n_tasks

    explore(scenario, strategy=schedule)
