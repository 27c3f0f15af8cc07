"""What clients do, drawn before the run."""

from __future__ import annotations

import math
from typing import Literal

from hypothesis import strategies as st

from props.counter import (
    Add,
    AddLate,
    AddSlowly,
    Boom,
    CancelledCall,
    Get,
    Put,
    Step,
    Suspension,
    TimedCall,
    Wait,
)
from props.family import Admin, Advance, ChildEnds, FailInits, Operation
from props.supervisor_model import AutoShutdown, ModelSpec, Restart, Strategy, SupervisorModel, Why

__all__ = ["families", "operations", "programs", "steps"]

_SECONDS = st.sampled_from([0.0, 0.5, 1.0, 2.0])
_SMALL = st.integers(1, 3)
_REQUESTS = st.one_of(
    st.builds(Add, _SMALL),
    st.just(Get()),
    st.builds(AddSlowly, _SMALL, _SECONDS),
    st.builds(AddLate, _SMALL, _SECONDS),
)


def steps(*, with_crashes: bool = False) -> st.SearchStrategy[Step]:
    """Draw one step: mostly calls that nothing goes wrong with."""
    requests = st.one_of(_REQUESTS, st.just(Boom())) if with_crashes else _REQUESTS
    return st.one_of(
        st.builds(TimedCall, requests, st.sampled_from([math.inf, 30.0, 0.75, 0.0])),
        st.builds(CancelledCall, requests, _SECONDS),
        st.builds(Put, st.integers(10, 12)),
        st.builds(Wait, _SECONDS),
        st.builds(Suspension, _SECONDS),
    )


def programs(
    *, n_clients: int = 3, n_steps: int = 4, with_crashes: bool = False
) -> st.SearchStrategy[tuple[tuple[Step, ...], ...]]:
    """Draw what each client does, at most a dozen steps in all."""
    client = st.lists(steps(with_crashes=with_crashes), max_size=n_steps).map(tuple)
    return st.lists(client, min_size=1, max_size=n_clients).map(tuple)


def operations(*, ends_only: bool = False) -> st.SearchStrategy[Operation]:
    """Draw something that happens to a supervisor with the children a, b and c."""
    child = st.sampled_from("abc")
    whys: tuple[Why, ...] = ("crash", "crash", "killed", "normal", "shutdown")
    ends = st.builds(ChildEnds, child, st.sampled_from(whys))
    if ends_only:
        return ends
    verbs: tuple[Literal["terminate", "restart", "delete", "start"], ...] = (
        "terminate",
        "restart",
        "delete",
        "start",
    )
    return st.one_of(
        ends,
        ends,
        ends,
        st.builds(Admin, st.sampled_from(verbs), child),
        st.builds(FailInits, child, st.integers(1, 2)),
        st.builds(Advance, st.sampled_from([0.5, 1.0, 2.0])),
    )


@st.composite
def families(draw: st.DrawFn) -> tuple[SupervisorModel, list[ModelSpec]]:
    """Draw a supervisor and its children; significant ones only where that is allowed."""
    strategies: tuple[Strategy, ...] = ("one_for_one", "rest_for_one", "one_for_all")
    autos: tuple[AutoShutdown, ...] = ("never", "never", "any_significant", "all_significant")
    restarts: tuple[Restart, ...] = ("permanent", "permanent", "transient", "temporary")
    model = SupervisorModel(
        strategy=draw(st.sampled_from(strategies)),
        max_restarts=draw(st.integers(0, 3)),
        period_s=draw(st.sampled_from([1.0, 2.0])),
        auto_shutdown=draw(st.sampled_from(autos)),
    )
    specs = list[ModelSpec]()
    for child in "abc"[: draw(st.integers(2, 3))]:
        restart = draw(st.sampled_from(restarts))
        is_free = model.auto_shutdown != "never" and restart != "permanent"
        specs.append(ModelSpec(id=child, restart=restart, significant=is_free and draw(st.booleans())))
    return model, specs
