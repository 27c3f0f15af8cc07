"""State machines: postponing, inserting and changing state, against a model with three lists."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import define, frozen
from hypothesis import given
from hypothesis import strategies as st

from actorllama.actors import (
    Begin,
    Context,
    Keep,
    MachineInit,
    MachineOutcome,
    NextEvent,
    PostPone,
    Source,
    StateMachine,
    Transition,
    open_system,
)
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules

Deed: TypeAlias = Literal["keep", "postpone", "insert"] | int
Table: TypeAlias = dict[tuple[int, int], Deed]
"""What to do with event e in state s: stay, postpone, insert the event e + 10, or go to a state."""


@frozen
class Event:
    kind: int
    number: int


def expected(table: Table, events: list[Event]) -> list[tuple[int, Event]]:
    """Say in which state each event is seen, by the rules of gen_statem (S1, S2)."""
    state, seen = 0, list[tuple[int, Event]]()
    queued, postponed = list(events), list[Event]()
    while queued:
        event = queued.pop(0)
        seen.append((state, event))
        match table.get((state, event.kind), "keep"):
            case "postpone":
                postponed.append(event)
            case "insert":
                queued.insert(0, Event(event.kind + 10, event.number))
            case int(next_state) if next_state != state:
                state = next_state
                queued[:0], postponed = postponed, []
            case _:
                pass
    return seen


@define(kw_only=True)
class Machine(StateMachine[int, Event]):
    """Does what the table says and writes down what it saw."""

    table: Table
    seen: list[tuple[int, Event]]

    async def init(self, ctx: Context) -> MachineInit[int]:
        return Begin(0)

    async def handle_event(self, state: int, event: Event, source: Source) -> MachineOutcome[int]:
        self.seen.append((state, event))
        match self.table.get((state, event.kind), "keep"):
            case "postpone":
                return Keep(actions=(PostPone(),))
            case "insert":
                return Keep(actions=(NextEvent(Event(event.kind + 10, event.number)),))
            case int(next_state):
                return Transition(next_state)
            case _:
                return Keep()


DEEDS: tuple[Deed, ...] = ("postpone", "postpone", "insert", "keep", 0, 1, 2)
PLACES = tuple((state, kind) for state in range(3) for kind in range(3))
TABLES = st.fixed_dictionaries({place: st.sampled_from(DEEDS) for place in PLACES})
KINDS = st.lists(st.integers(0, 2), min_size=3, max_size=12)


@given(
    table=TABLES,
    kinds=KINDS,
    schedule=schedules(max_choices=20),
)
def prop_a_machine_sees_events_in_the_order_of_the_rules(
    table: Table, kinds: list[int], schedule: Strategy
) -> None:
    events = [Event(kind, number) for number, kind in enumerate(kinds)]

    async def scenario() -> None:
        seen: list[tuple[int, Event]] = []
        async with open_system(messages_per_step=1) as system:
            ref = await system.start(lambda: Machine(table=table, seen=seen), mailbox_capacity=2)
            for event in events:
                await ref.cast(event)
            await ref.stop()
        assert seen == expected(table, events)

    explore(scenario, strategy=schedule)
