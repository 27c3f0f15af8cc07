"""Messages before the death, the name free, one notice per monitor: the order of signals."""

from __future__ import annotations

from typing import ClassVar

import trio
from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actorllama.actors import (
    Context,
    Down,
    Exit,
    InitOutcome,
    Killed,
    NoReply,
    Normal,
    Outcome,
    Ready,
    Ref,
    Server,
    Shutdown,
    Stop,
    System,
    open_system,
)
from actorllama.testing import Strategy, explore
from actorllama.testing.strategies import schedules


@frozen
class Note:
    number: int


@frozen
class Talk:
    """Send ``n`` notes, then end: by itself, by an exception, or by a kill from outside."""

    to: Ref
    n: int
    end: str


@define(kw_only=True)
class Listener(Server[object, Note, Down | Exit]):
    """Watches somebody, as often as it is told to, and writes down all that it hears."""

    system: System
    watched: str
    n_monitors: int
    is_linked: bool
    heard: list[object] = field(factory=list[object])
    trap_exits: ClassVar[bool] = True

    async def init(self, ctx: Context) -> InitOutcome:
        for _ in range(self.n_monitors):
            ctx.monitor(self.watched)
        other = ctx.whereis(self.watched)
        assert other is not None
        if self.is_linked:
            ctx.link(other)
        return Ready()

    async def handle_cast(self, message: Note) -> Outcome:
        self.heard.append(message.number)
        return NoReply()

    async def handle_info(self, message: Down | Exit) -> Outcome:
        assert self.system.whereis(self.watched) is None
        self.heard.append(message)
        return NoReply()


class Talker(Server[object, Talk, object]):
    """Says what it has to say, and ends."""

    async def handle_cast(self, message: Talk) -> Outcome:
        for number in range(message.n):
            await message.to.cast(Note(number))
        match message.end:
            case "normal":
                return Stop(Normal())
            case "shutdown":
                return Stop(Shutdown("enough"))
            case "crash":
                raise ZeroDivisionError("boom")
            case _:
                return NoReply()


@given(
    n_notes=st.integers(0, 6),
    n_monitors=st.integers(0, 2),
    is_linked=st.booleans(),
    end=st.sampled_from(["normal", "shutdown", "crash", "killed"]),
    capacity=st.integers(1, 3),
    schedule=schedules(),
)
def prop_what_was_said_before_a_death_is_heard_before_it(
    n_notes: int, n_monitors: int, is_linked: bool, end: str, capacity: int, schedule: Strategy
) -> None:
    """Notes in order and all of them, then exactly one `Down` per monitor and one `Exit` per link."""

    async def scenario() -> None:
        listeners: list[Listener] = []
        async with open_system(messages_per_step=1) as system:

            def listener() -> Listener:
                made = Listener(system=system, watched="talker", n_monitors=n_monitors, is_linked=is_linked)
                listeners.append(made)
                return made

            talker = await system.start(Talker, name="talker")
            ref = await system.start(listener, mailbox_capacity=capacity)
            await talker.cast(Talk(to=ref, n=n_notes, end=end))
            if end == "killed":
                await wait_all_tasks_blocked()
                system.kill(talker, why="a stranger")
                assert system.whereis("talker") is None
            await wait_all_tasks_blocked()
            again = await system.start(Talker, name="talker")
            assert again.is_alive
            heard = listeners[0].heard
            notices = heard[n_notes:]
            assert heard[:n_notes] == list(range(n_notes))
            assert sum(isinstance(notice, Down) for notice in notices) == n_monitors
            assert sum(isinstance(notice, Exit) for notice in notices) == int(is_linked)
            assert len(notices) == n_monitors + int(is_linked)
            for notice in notices:
                assert isinstance(notice, Down | Exit)
                assert notice.ref is talker
                assert notice.reason == talker.exit_reason
            assert (end == "killed") == isinstance(talker.exit_reason, Killed)

    explore(scenario, strategy=schedule)


class Member(Server[object, object, Exit]):
    """Linked to the others, not trapping."""

    async def handle_info(self, message: Exit) -> Outcome:
        raise AssertionError("exit signals do not arrive as messages here")


@given(
    links=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=5),
    victim=st.integers(0, 3),
    is_normal=st.booleans(),
    schedule=schedules(max_choices=30),
)
def prop_linked_actors_die_together_and_only_they(
    links: list[tuple[int, int]], victim: int, is_normal: bool, schedule: Strategy
) -> None:
    """An abnormal end reaches exactly the actors that are connected by links; a normal one nobody."""
    together = {victim}
    for _ in range(4):
        together |= {b for a, b in [*links, *((b, a) for a, b in links)] if a in together}

    async def scenario() -> None:
        contexts: list[Context] = []

        class Linked(Member):
            async def init(self, ctx: Context) -> InitOutcome:
                contexts.append(ctx)
                return Ready()

        async with open_system() as system:
            refs = [await system.start(Linked) for _ in range(4)]
            for a, b in links:
                contexts[a].link(refs[b])
            if is_normal:
                await refs[victim].stop()
            else:
                system.kill(refs[victim], why="a stranger")
            await trio.lowlevel.checkpoint()
            dead = {i for i, ref in enumerate(refs) if not ref.is_alive}
            assert dead == ({victim} if is_normal else together)

    explore(scenario, strategy=schedule)
