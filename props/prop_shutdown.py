"""The end of a tree: ordered, bounded, and the same whatever ends it (rules V1, V15, V23)."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import trio
from attrs import define, frozen
from hypothesis import given
from hypothesis import strategies as st

from actorllama.actors import (
    ChildSpec,
    Context,
    DynamicSupervisor,
    InitOutcome,
    Killed,
    Ready,
    Ref,
    Server,
    Shutdown,
    Supervisor,
    open_system,
    start_child,
)
from actorllama.actors.reason import ExitReason
from actorllama.actors.spec import ShutdownGrace
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules

WayOut: TypeAlias = Literal["end of the block", "an error", "a timeout", "stop"]
WAYS_OUT: tuple[WayOut, ...] = ("end of the block", "an error", "a timeout", "stop")


@frozen(kw_only=True)
class Plan:
    """How long a child needs to end, and how long it gets."""

    grace: ShutdownGrace
    needs_s: float

    @property
    def takes_s(self) -> float:
        match self.grace:
            case "brutal_kill":
                return 0
            case "infinity":
                return self.needs_s
            case grace_s:
                return min(grace_s, self.needs_s)

    @property
    def is_killed(self) -> bool:
        return self.grace == "brutal_kill" or (self.grace != "infinity" and self.needs_s > self.grace)


PLANS = st.lists(
    st.builds(
        Plan,
        grace=st.sampled_from(["brutal_kill", "infinity", 1.0, 4.0]),
        needs_s=st.sampled_from([0.5, 2.0, 8.0]),
    ),
    min_size=1,
    max_size=4,
)


@define(kw_only=True)
class Slow(Server[object, object, object]):
    """Takes its time to end."""

    number: int
    plan: Plan
    refs: dict[int, Ref]
    events: list[tuple[float, int, str]]

    async def init(self, ctx: Context) -> InitOutcome:
        self.refs[self.number] = ctx.ref
        return Ready()

    async def terminate(self, reason: ExitReason) -> None:
        self.events.append((trio.current_time(), self.number, "begins"))
        await trio.sleep(self.plan.needs_s)
        self.events.append((trio.current_time(), self.number, "done"))


def slow_child(
    number: int, plan: Plan, refs: dict[int, Ref], events: list[tuple[float, int, str]]
) -> ChildSpec:
    return ChildSpec(
        id=str(number),
        shutdown=plan.grace,
        start=lambda: Slow(number=number, plan=plan, refs=refs, events=events),
    )


def expected_events(plans: list[Plan], began_s: float) -> list[tuple[float, int, str]]:
    """Say who ends when, one after the other, last started first."""
    now_s, events = began_s, list[tuple[float, int, str]]()
    for number, plan in reversed(list(enumerate(plans))):
        if plan.grace != "brutal_kill":
            events.append((now_s, number, "begins"))
        now_s += plan.takes_s
        if not plan.is_killed:
            events.append((now_s, number, "done"))
    return events


def check_reasons(plans: list[Plan], refs: dict[int, Ref]) -> None:
    for number, plan in enumerate(plans):
        reason = refs[number].exit_reason
        assert isinstance(reason, Killed if plan.is_killed else Shutdown), reason


@given(plans=PLANS, way_out=st.sampled_from(WAYS_OUT), schedule=schedules(max_choices=30))
def prop_a_tree_ends_from_right_to_left_each_child_within_its_grace(
    plans: list[Plan], way_out: WayOut, schedule: Strategy
) -> None:
    async def scenario() -> None:
        refs: dict[int, Ref] = {}
        events: list[tuple[float, int, str]] = []
        children = tuple(slow_child(number, plan, refs, events) for number, plan in enumerate(plans))
        was_error = False
        around = trio.CancelScope(deadline=5 if way_out == "a timeout" else math.inf)
        try:
            with around:
                async with open_system() as system:
                    supervisor = await system.start(lambda: Supervisor(children=children))
                    await trio.sleep(4)
                    match way_out:
                        case "an error":
                            raise ZeroDivisionError
                        case "a timeout":
                            await trio.sleep_forever()
                        case "stop":
                            await supervisor.stop(Shutdown(), timeout_s=math.inf)
                        case _:
                            pass
        except ZeroDivisionError:
            was_error = True
        assert was_error == (way_out == "an error")
        assert around.cancelled_caught == (way_out == "a timeout")
        began_s = 5.0 if way_out == "a timeout" else 4.0
        assert events == expected_events(plans, began_s)
        assert trio.current_time() == began_s + sum(plan.takes_s for plan in plans)
        check_reasons(plans, refs)

    explore(scenario, strategy=schedule)


@given(plans=PLANS, is_killed=st.booleans(), schedule=schedules(max_choices=30))
def prop_dynamic_children_and_orphans_end_side_by_side(
    plans: list[Plan], is_killed: bool, schedule: Strategy
) -> None:
    """A dynamic supervisor stops its children in parallel (V17); a killed one's end by themselves (V23)."""

    async def scenario() -> None:
        refs: dict[int, Ref] = {}
        events: list[tuple[float, int, str]] = []
        async with open_system() as system:
            supervisor = await system.start(DynamicSupervisor)
            for number, plan in enumerate(plans):
                await start_child(supervisor, slow_child(number, plan, refs, events))
            if is_killed:
                system.kill(supervisor, why="a stranger")
        assert trio.current_time() == max(plan.takes_s for plan in plans)
        done = [(plan.takes_s, number) for number, plan in enumerate(plans) if not plan.is_killed]
        assert sorted((at, number) for at, number, what in events if what == "done") == sorted(done)
        if is_killed:  # the children's reason is that of the link, as in OTP
            assert all(isinstance(ref.exit_reason, Killed) for ref in refs.values())
        else:
            check_reasons(plans, refs)
        assert system.refs() == ()

    explore(scenario, strategy=schedule)
