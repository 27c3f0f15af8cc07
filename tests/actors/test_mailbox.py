"""The bounded lane, those who wait for room in it, and what is dropped."""

from __future__ import annotations

import math
import weakref

import pytest
import trio

from actorllama.actors import (
    Caller,
    NoReply,
    Outcome,
    Overflow,
    Ref,
    Reply,
    Server,
    get_state,
    open_system,
    resume,
    statistics,
    suspend,
)
from actorllama.actors.events import DEAD_LETTER
from actorllama.actors.mailbox import CAST, Mailbox
from actorllama.errors import ActorExited, MailboxFull
from actorllama.telemetry import Bus, StrictBus, record


class Keeper(Server[object, object, object]):
    """Keeps what it gets."""

    def __init__(self, seen: list[object]) -> None:
        self.seen = seen

    async def handle_call(self, message: object, caller: Caller) -> Outcome:
        self.seen.append(message)
        return Reply(message)

    async def handle_cast(self, message: object) -> Outcome:
        self.seen.append(message)
        return NoReply()

    async def handle_info(self, message: object) -> Outcome:
        self.seen.append(message)
        return NoReply()


async def test_a_full_mailbox_refuses_nowait_and_lets_cast_wait_in_order() -> None:
    seen: list[object] = []
    async with open_system() as system:
        ref = await system.start(lambda: Keeper(seen), mailbox_capacity=2)
        await suspend(ref)
        ref.cast_nowait(1)
        ref.cast_nowait(2)
        with pytest.raises(MailboxFull) as caught:
            ref.cast_nowait(3)
        assert (caught.value.ref, caught.value.capacity) == (ref, 2)
        async with trio.open_nursery() as nursery:
            for number in (3, 4, 5):
                nursery.start_soon(ref.cast, number)
                await trio.testing.wait_all_tasks_blocked()
            [node] = system.tree()
            assert (node.n_queued, node.n_waiting) == (5, 3)
            with pytest.raises(MailboxFull):
                ref.cast_nowait("overtakes")
            await resume(ref)
        await ref.call(6)
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_a_cancelled_cast_delivers_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    seen: list[object] = []
    async with open_system() as system:
        ref = await system.start(lambda: Keeper(seen), mailbox_capacity=1)
        await suspend(ref)
        ref.cast_nowait(1)
        with trio.move_on_after(1):
            await ref.cast("never sent")
        with trio.move_on_after(1):
            await ref.call("never sent", timeout_s=math.inf)
        await resume(ref)
        assert await ref.call(2) == 2
    assert seen == [1, 2]


async def test_sends_in_a_cancelled_scope_send_nothing() -> None:
    seen: list[object] = []
    async with open_system() as system:
        ref = await system.start(lambda: Keeper(seen))
        with trio.CancelScope() as scope:
            scope.cancel()
            await ref.call("no")
        assert scope.cancelled_caught
        await ref.call("yes")
    assert seen == ["yes"]


@pytest.mark.parametrize(
    ("overflow", "expected"), [("drop_new", [1, 2, "info"]), ("drop_old", [2, 3, "info"])]
)
async def test_an_overflow_policy_drops_and_tells(overflow: Overflow, expected: list[object]) -> None:
    seen: list[object] = []
    bus = StrictBus()
    with record(bus, DEAD_LETTER) as letters:
        async with open_system(bus=bus) as system:
            ref = await system.start(lambda: Keeper(seen), mailbox_capacity=2, overflow=overflow)
            await suspend(ref)
            for number in (1, 2):
                ref.cast_nowait(number)
            await ref.cast(3)
            ref.info_nowait("info")
            await resume(ref)
            await trio.testing.wait_all_tasks_blocked()
    assert seen == expected
    assert [letter.metadata["cause"] for letter in letters.facts] == ["overflow"]


async def test_drop_old_spares_calls_and_drops_the_new_cast_if_there_is_no_old_one() -> None:
    seen: list[object] = []
    async with open_system() as system:
        ref = await system.start(lambda: Keeper(seen), mailbox_capacity=1, overflow="drop_old")
        await suspend(ref)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.call, "call")
            await trio.testing.wait_all_tasks_blocked()
            ref.cast_nowait("dropped")
            await resume(ref)
        assert (await statistics(ref)).n_dropped == 1
    assert seen == ["call"]


async def test_notices_are_neither_counted_nor_refused_and_keep_their_place() -> None:
    seen: list[object] = []
    async with open_system() as system:
        ref = await system.start(lambda: Keeper(seen), mailbox_capacity=1)
        await suspend(ref)
        ref.info_nowait("before")
        ref.cast_nowait("cast")
        for number in range(100):
            ref.info_nowait(number)
        await resume(ref)
        await ref.call("last")
    assert seen == ["before", "cast", *range(100), "last"]


async def test_system_requests_keep_their_place_among_messages() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Keeper([]))
        ref.cast_nowait("first")
        state = await get_state(ref)
        assert state == {"seen": ["first"]}


async def test_what_a_dead_actor_had_queued_is_told_as_dead_letters() -> None:
    bus = StrictBus()
    with record(bus, DEAD_LETTER) as letters:
        async with open_system(bus=bus) as system:
            ref = await system.start(lambda: Keeper([]), mailbox_capacity=1)
            await suspend(ref)
            ref.cast_nowait(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ref.cast, "waits for room")
                nursery.start_soon(_call_in_vain, ref)
                await trio.testing.wait_all_tasks_blocked()
                system.kill(ref, why="test")
            await ref.cast("dead")
            ref.info_nowait("dead")
    causes = [letter.metadata["cause"] for letter in letters.facts]
    assert causes == ["drained", "drained", "drained", "dead", "dead"]


async def _call_in_vain(ref: Ref) -> None:
    with pytest.raises(ActorExited):
        await ref.call("waits for room, too")


async def test_a_busy_actor_lets_others_have_their_turn() -> None:
    turns: list[str] = []

    class Endless(Keeper):
        async def handle_cast(self, message: object) -> Outcome:
            self.ctx.ref.cast_nowait(message)
            return NoReply()

    async with open_system(bus=Bus()) as system:
        ref = await system.start(lambda: Endless([]))
        await ref.cast("again")
        for _ in range(10):
            await trio.lowlevel.checkpoint()
            turns.append("mine")
        system.kill(ref, why="test")
    assert turns == ["mine"] * 10


def test_a_mailbox_says_when_it_is_full() -> None:
    mailbox = Mailbox(capacity=1)
    assert not mailbox.is_full
    assert mailbox.offer((CAST, "x", None))
    assert mailbox.is_full
    assert not mailbox.offer((CAST, "y", None))


class State:
    """Something large."""


async def test_an_actor_that_waits_holds_on_to_no_message() -> None:
    class Forgetful(Server[object, object, object]):
        async def handle_info(self, message: object) -> Outcome:
            return NoReply()

    async with open_system() as system:
        ref = await system.start(Forgetful)
        state = State()
        seen = weakref.ref(state)
        ref.info_nowait(state)
        del state
        await trio.testing.wait_all_tasks_blocked()
        assert seen() is None
