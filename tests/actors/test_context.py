"""What an actor may do as itself: timers, monitors taken back, links."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from actorllama.actors import (
    Crash,
    Exit,
    Killed,
    NoReply,
    Outcome,
    Ref,
    Server,
    Shutdown,
    Timer,
    open_system,
)

Clock = trio.testing.MockClock
Act = Callable[["Doer"], Awaitable[None]]


class Doer(Server[object, Act, object]):
    """Does what it is told, keeps what it hears."""

    def __init__(self, heard: list[object] | None = None) -> None:
        self.heard = [] if heard is None else heard

    async def handle_cast(self, message: Act) -> Outcome:
        await message(self)
        return NoReply()

    async def handle_info(self, message: object) -> Outcome:
        self.heard.append(message)
        return NoReply()


class TrappingDoer(Doer):
    trap_exits = True


async def do(ref: Ref, act: Act) -> None:
    await ref.cast(act)
    await trio.testing.wait_all_tasks_blocked()


async def test_a_message_to_oneself_later_comes_unless_it_is_cancelled(autojump_clock: Clock) -> None:
    heard: list[object] = []
    timers: list[Timer] = []

    async def arm(doer: Doer) -> None:
        doer.ctx.send_after(1, "one")
        timers.append(doer.ctx.send_after(2, "two"))
        doer.ctx.send_after(0.5, "half")
        doer.ctx.send_after(float("inf"), "never")

    async def cancel(doer: Doer) -> None:
        doer.ctx.cancel_timer(timers[0])
        doer.ctx.cancel_timer(timers[0])

    async with open_system() as system:
        ref = await system.start(lambda: Doer(heard))
        await do(ref, arm)
        assert timers[0].is_armed
        await do(ref, cancel)
        await trio.sleep(5)
        assert heard == ["half", "one"]
        await do(ref, arm)
        system.kill(ref, why="test")
        await trio.sleep(5)
    assert heard == ["half", "one"]


async def test_a_monitor_taken_back_tells_nothing_even_if_it_had_fired() -> None:
    heard: list[object] = []

    async def watch_and_repent(doer: Doer) -> None:
        kept = doer.ctx.monitor(other)
        taken_back = doer.ctx.monitor(other)
        system.kill(other, why="test")
        doer.ctx.demonitor(taken_back)
        assert kept.down is not None

    async with open_system() as system:
        other = await system.start(Doer)
        ref = await system.start(lambda: Doer(heard))
        await do(ref, watch_and_repent)
        assert len(heard) == 1


async def test_a_dead_watcher_watches_nobody() -> None:
    async def watch(doer: Doer) -> None:
        doer.ctx.monitor(other)

    async with open_system() as system:
        other = await system.start(Doer)
        ref = await system.start(Doer)
        await do(ref, watch)
        assert len(system.process_of(other).monitors) == 1  # type: ignore[union-attr]
        system.kill(ref, why="test")
        assert len(system.process_of(other).monitors) == 0  # type: ignore[union-attr]


async def test_unlinking_reaches_an_exit_that_is_queued_already() -> None:
    heard: list[object] = []

    async def link_and_repent(doer: Doer) -> None:
        doer.ctx.link(doer.ctx.ref)  # to oneself: nothing
        for other in others:
            doer.ctx.link(other)
            system.kill(other, why="test")
        doer.ctx.unlink(others[0])

    async with open_system() as system:
        others = [await system.start(Doer) for _ in range(2)]
        ref = await system.start(lambda: TrappingDoer(heard))
        await do(ref, link_and_repent)
        assert heard == [Exit(ref=others[1], reason=Killed("test"))]


async def test_an_actor_sends_exit_signals_as_itself() -> None:
    heard: list[object] = []

    async def signal(doer: Doer) -> None:
        doer.ctx.exit(receiver, Shutdown("mine"))

    async with open_system() as system:
        receiver = await system.start(lambda: TrappingDoer(heard))
        sender = await system.start(Doer)
        await do(sender, signal)
        assert heard == [Exit(ref=sender, reason=Shutdown("mine"))]
        assert receiver.is_alive


@pytest.mark.parametrize("kills", [True, False])
async def test_the_crash_of_a_linked_child_ends_a_parent_that_does_not_trap(kills: bool) -> None:
    children: list[Ref] = []

    async def start(doer: Doer) -> None:
        children.append(await doer.ctx.start(Doer))

    async def crash(doer: Doer) -> None:
        raise ValueError

    async with open_system() as system:
        parent = await system.start(Doer)
        await do(parent, start)
        if kills:
            system.kill(children[0], why="test")
            assert parent.exit_reason == Killed("test")
        else:
            await do(children[0], crash)
            assert isinstance(parent.exit_reason, Crash)
