"""State machines: the table, its diagram, timeouts that are overtaken, and a look inside."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias, assert_never

import pytest
import trio
from attrs import frozen

from actorllama.actors import (
    Arrow,
    Begin,
    Caller,
    CancelTimeout,
    Context,
    Crash,
    EnterAction,
    Ignore,
    Keep,
    MachineInit,
    MachineOutcome,
    NamedTimeout,
    NextEvent,
    Normal,
    PostPone,
    ReplyTo,
    Shutdown,
    Source,
    StateMachine,
    StateTimeout,
    Stop,
    Transition,
    format_tree,
    get_log,
    get_state,
    keep_log,
    open_system,
    replace_state,
    resume,
    suspend,
)
from actorllama.actors.diagram import label
from actorllama.errors import ActorExited, BadReturn, BadTransition, StartRefused

Clock = trio.testing.MockClock


class State(enum.Enum):
    CLOSED = enum.auto()
    OPEN = enum.auto()
    LOCKED = enum.auto()


@frozen
class Open:
    pass


@frozen
class Close:
    pass


@frozen
class Lock:
    pass


@frozen
class Kick:
    """Opens even what is locked: the table does not know of it."""


@frozen
class Draught:
    """Closes an open door after a while."""


DoorEvent: TypeAlias = Open | Close | Lock | Kick | Draught


class Door(StateMachine[State, DoorEvent]):
    """A door that falls shut, and must not be kicked in."""

    transitions = (
        Arrow(State.CLOSED, Open, State.OPEN),
        Arrow(State.OPEN, Close, State.CLOSED),
        Arrow(State.OPEN, Draught, State.CLOSED),
        Arrow(State.CLOSED, Lock, State.LOCKED),
    )
    state_enter = True

    def __init__(self, first: tuple[NextEvent, ...] = ()) -> None:
        self.first = first
        self.n_opened = 0

    async def init(self, ctx: Context) -> MachineInit[State]:
        return Begin(State.CLOSED, actions=self.first)

    async def handle_enter(self, old_state: State, state: State) -> Sequence[EnterAction]:
        if state is State.OPEN:
            self.n_opened += 1
            return (StateTimeout(10, Draught()),)
        return ()

    async def handle_event(self, state: State, event: DoorEvent, source: Source) -> MachineOutcome[State]:
        done = ReplyTo(source.caller, "done")
        match event:
            case Open() if state is State.LOCKED:
                return Keep(actions=(PostPone(),))
            case Open() | Kick():
                return Transition(State.OPEN, actions=(done,))
            case Close() | Draught():
                return Transition(State.CLOSED, actions=(done,))
            case Lock():
                return Transition(State.LOCKED, actions=(done,))
            case _:
                assert_never(event)


def test_the_diagram_is_drawn_from_the_table() -> None:
    assert Door.diagram() == (
        "stateDiagram-v2\n"
        "    [*] --> CLOSED\n"
        "    CLOSED --> OPEN: Open\n"
        "    OPEN --> CLOSED: Close\n"
        "    OPEN --> CLOSED: Draught\n"
        "    CLOSED --> LOCKED: Lock\n"
    )
    assert StateMachine.diagram() == "stateDiagram-v2\n"
    assert (label("open"), label(Open), label(Open())) == ("open", "Open", "Open")


async def test_a_change_that_the_table_does_not_list_crashes_the_machine() -> None:
    async with open_system() as system:
        ref = await system.start(Door)
        assert await ref.call(Lock()) == "done"
        with pytest.raises(ActorExited) as caught:
            await ref.call(Kick())
        assert isinstance(caught.value.reason, Crash)
        error = caught.value.reason.exc
        assert isinstance(error, BadTransition)
        assert (error.source, error.event, error.target) == ("LOCKED", "Kick", "OPEN")


async def test_a_state_timeout_from_enter_closes_the_door(autojump_clock: Clock) -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Door((NextEvent(Open()),)))
        [node] = system.tree()
        await trio.testing.wait_all_tasks_blocked()
        [node] = system.tree()
        assert (node.state, node.kind) == ("OPEN", "Door")
        assert "state=OPEN" in format_tree((node,))
        await trio.sleep(11)
        opening = (NextEvent(Open()),)
        assert await get_state(ref) == (State.CLOSED, {"first": opening, "n_opened": 1})


async def test_state_and_data_can_be_replaced_together() -> None:
    async with open_system() as system:
        ref = await system.start(Door)
        await replace_state(ref, lambda pair: (State.LOCKED, {"n_opened": 7, "first": ()}))
        assert await get_state(ref) == (State.LOCKED, {"n_opened": 7, "first": ()})
        wrongs: tuple[object, ...] = (State.OPEN, (State.OPEN, 5))
        for wrong in wrongs:
            with pytest.raises(TypeError):
                await replace_state(ref, partial(_put, wrong))
        assert await get_state(ref) == (State.LOCKED, {"n_opened": 7, "first": ()})


def _put(new: object, _old: object) -> object:
    return new


async def test_postponing_and_entering_are_shown_in_the_log(autojump_clock: Clock) -> None:
    async with open_system() as system:
        ref = await system.start(Door)
        await keep_log(ref, n_events=3)
        await ref.call(Lock())
        await ref.cast(Open())
        await trio.testing.wait_all_tasks_blocked()
        shown = [(event.what, event.message) for event in await get_log(ref)]
        assert shown == [("enter", State.LOCKED), ("cast", Open()), ("postpone", Open())]


class Script(StateMachine[str, str]):
    """Takes its reactions from a table."""

    def __init__(self, log: list[str], reactions: dict[str, MachineOutcome[str]]) -> None:
        self.log = log
        self.reactions = reactions

    async def init(self, ctx: Context) -> MachineInit[str]:
        return Begin("a")

    async def handle_event(self, state: str, event: str, source: Source) -> MachineOutcome[str]:
        self.log.append(f"{event} in {state}")
        return self.reactions.get(event, Keep())


async def test_a_state_change_overtakes_a_zero_state_timeout(autojump_clock: Clock) -> None:
    log: list[str] = []
    reactions: dict[str, MachineOutcome[str]] = {
        "go": Keep(actions=(StateTimeout(0, "too late"), NextEvent("change"))),
        "change": Transition("b"),
    }
    async with open_system() as system:
        ref = await system.start(lambda: Script(log, reactions))
        await ref.cast("go")
        await trio.sleep(1)
    assert log == ["go in a", "change in a"]


async def test_cancelling_reaches_a_timeout_that_has_run_out_and_is_queued(autojump_clock: Clock) -> None:
    log: list[str] = []
    reactions: dict[str, MachineOutcome[str]] = {
        "arm": Keep(actions=(NamedTimeout("n", 1, "named"), StateTimeout(1, "stated"))),
        "cancel": Keep(actions=(CancelTimeout("n"), CancelTimeout())),
    }
    async with open_system() as system:
        ref = await system.start(lambda: Script(log, reactions))
        await ref.cast("arm")
        await trio.testing.wait_all_tasks_blocked()
        await suspend(ref)
        ref.cast_nowait("cancel")
        await trio.sleep(2)
        await resume(ref)
        await trio.sleep(2)
    assert log == ["arm in a", "cancel in a"]


class Entering(Script):
    state_enter = True


class Answering(Entering):
    async def handle_enter(self, old_state: str, state: str) -> Sequence[EnterAction]:
        return () if self.caller is None else (ReplyTo(self.caller, self.state),)

    caller: Caller | None = None

    async def handle_event(self, state: str, event: str, source: Source) -> MachineOutcome[str]:
        self.caller = source.caller
        return Transition("b")


async def test_a_reply_may_come_from_entering_a_state() -> None:
    async with open_system() as system:
        plain = await system.start(lambda: Entering([], {"go": Transition("b")}))
        await plain.cast("go")
        answering = await system.start(lambda: Answering([], {}))
        assert await answering.call("go") == "b"


async def test_an_endless_chain_of_inserted_events_can_be_killed() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Script([], {"again": Keep(actions=(NextEvent("again"),))}))
        await ref.cast("again")
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        assert ref.is_alive
        system.kill(ref, why="test")


async def test_a_machine_stops_and_notices_are_events_too() -> None:
    log: list[str] = []
    async with open_system() as system:
        ref = await system.start(lambda: Script(log, {"stop": Stop(Normal())}))
        ref.info_nowait("notice")
        with pytest.raises(ActorExited):
            await ref.call("stop")
        assert log == ["notice in a", "stop in a"]
        ref = await system.start(lambda: Script(log, {"odd": "b"}))  # type: ignore[dict-item]
        with pytest.raises(ActorExited) as caught:
            await ref.call("odd")
        assert isinstance(caught.value.reason, Crash)
        assert isinstance(caught.value.reason.exc, BadReturn)


async def test_a_machine_without_handlers_says_so() -> None:
    class Bare(StateMachine[str, str]):
        pass

    class Mute(StateMachine[str, str]):
        async def init(self, ctx: Context) -> MachineInit[str]:
            return Begin("a")

    class Absent(StateMachine[str, str]):
        async def init(self, ctx: Context) -> MachineInit[str]:
            return Ignore()

    async with open_system() as system:
        with pytest.raises(StartRefused, match="has no init"):
            await system.start(Bare)
        ref = await system.start(Mute)
        with pytest.raises(ActorExited, match="NotImplementedError"):
            await ref.call("x")
        absent = await system.start(Absent)
        assert not absent.is_alive
        door = await system.start(Door)
        await door.stop(Shutdown("done"))
        assert door.exit_reason == Shutdown("done")
