"""How a system begins and, above all, ends: from inside, from outside, and by an interrupt."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable
from functools import partial

import pytest
import trio

from actorllama.actors import (
    Caller,
    ChildSpec,
    Context,
    Crash,
    ExitReason,
    InitOutcome,
    Killed,
    NoProcess,
    NoReply,
    Outcome,
    Reply,
    Server,
    Shutdown,
    Supervisor,
    System,
    open_system,
)
from actorllama.errors import ActorExited, ActorNotFound, StartRefused

Clock = trio.testing.MockClock


class Worker(Server[str, str, object]):
    """Writes down when it ended, and why."""

    def __init__(self, name: str, log: list[str], *, nap_s: float = 0.0) -> None:
        self.name = name
        self.log = log
        self.nap_s = nap_s

    async def handle_call(self, message: str, caller: Caller) -> Outcome:
        match message:
            case "interrupt":
                raise KeyboardInterrupt
            case "group":
                raise ExceptionGroup("one", [ExceptionGroup("two", [ValueError("inner")])])
            case "groups":
                raise ExceptionGroup("both", [ValueError("a"), ValueError("b")])
            case "start":
                return Reply(await self.ctx.start(lambda: Worker("late", self.log)))
            case _:
                pass
        return Reply(message)

    async def handle_cast(self, message: str) -> Outcome:
        return NoReply()

    async def terminate(self, reason: ExitReason) -> None:
        await trio.sleep(self.nap_s)
        self.log.append(f"{self.name} {reason} at {trio.current_time():.1f}")


async def start_three(system: System, log: list[str]) -> None:
    children = (
        ChildSpec(id="a", start=lambda: Worker("a", log, nap_s=0.1)),
        ChildSpec(id="b", start=lambda: Worker("b", log, nap_s=math.inf), shutdown=1.0),
        ChildSpec(id="c", start=lambda: Worker("c", log, nap_s=0.2)),
    )
    await system.start(lambda: Supervisor(children=children))


async def test_a_cancellation_outside_stops_the_tree_in_order_and_bounded(autojump_clock: Clock) -> None:
    log: list[str] = []
    with trio.move_on_after(5) as scope:
        async with open_system() as system:
            await start_three(system, log)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert log == ["c shutdown at 5.2", "a shutdown at 6.3"]  # b was killed at 6.2
    assert trio.current_time() == pytest.approx(6.3)


async def test_an_error_in_the_block_stops_the_tree_and_comes_out_alone(autojump_clock: Clock) -> None:
    log: list[str] = []
    with pytest.raises(ValueError, match="mine"):  # noqa: PT012 - the block is what is tested
        async with open_system() as system:
            await start_three(system, log)
            raise ValueError("mine")
    assert log == ["c shutdown at 0.2", "a shutdown at 1.3"]


async def test_several_errors_come_out_as_a_group() -> None:
    with pytest.RaisesGroup(ValueError, KeyError):
        async with open_system():
            raise ExceptionGroup("mine", [ValueError(), KeyError()])


async def test_the_end_of_the_block_stops_the_tree(autojump_clock: Clock) -> None:
    log: list[str] = []
    async with open_system() as system:
        await start_three(system, log)
    assert log == ["c shutdown at 0.2", "a shutdown at 1.3"]
    assert system.refs() == ()
    assert "n_actors=0" in repr(system)


async def test_an_interrupt_inside_an_actor_stops_the_tree_and_comes_out(autojump_clock: Clock) -> None:
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the block is what is tested
        async with open_system() as system:
            await start_three(system, log)
            victim = await system.start(lambda: Worker("victim", log))
            with pytest.raises(ActorExited) as caught:
                await victim.call("interrupt")
            assert isinstance(caught.value.reason, Crash)
            await trio.sleep_forever()
    assert log == ["c shutdown at 0.2", "a shutdown at 1.3"]


def test_in_guest_mode_a_cancellation_by_the_host_stops_the_tree_in_order() -> None:
    log: list[str] = []
    host: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    done: list[object] = []
    scopes: list[trio.CancelScope] = []

    async def main() -> None:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            async with open_system() as system:
                for name in "ab":
                    await system.start(partial(Worker, name, log))
                host.put(scope.cancel)
                await trio.sleep_forever()

    trio.lowlevel.start_guest_run(main, run_sync_soon_threadsafe=host.put, done_callback=done.append)
    while not done:
        host.get()()
    assert [entry.split()[0] for entry in log] == ["b", "a"]


async def test_whoever_is_cancelled_while_starting_leaves_nothing(autojump_clock: Clock) -> None:
    class Slow(Worker):
        async def init(self, ctx: Context) -> InitOutcome:
            await trio.sleep_forever()

    async with open_system() as system:
        with trio.move_on_after(1):
            await system.start(lambda: Slow("slow", []), name="slow")
        assert system.refs() == ()
        assert system.whereis("slow") is None


async def test_an_actor_killed_during_init_was_not_started(autojump_clock: Clock) -> None:
    class Slow(Worker):
        async def init(self, ctx: Context) -> InitOutcome:
            await trio.sleep_forever()

    async with open_system() as system, trio.open_nursery() as nursery:

        async def start() -> None:
            with pytest.raises(StartRefused) as caught:
                await system.start(lambda: Slow("slow", []), name="slow")
            assert caught.value.reason == Killed("test")

        nursery.start_soon(start)
        await trio.testing.wait_all_tasks_blocked()
        slow = system.whereis("slow")
        assert slow is not None
        system.kill(slow, why="test")


async def test_a_closing_system_starts_nothing_new() -> None:
    async with open_system() as system:
        system.request_close()
        with pytest.raises(StartRefused, match="closing"):
            await system.start(lambda: Worker("late", []))


async def test_an_object_that_is_no_actor_is_refused() -> None:
    async with open_system() as system:
        with pytest.raises(StartRefused) as caught:
            await system.start(lambda: object())  # type: ignore[arg-type,return-value]
        assert isinstance(caught.value.__cause__, TypeError)


async def test_an_exception_group_of_one_is_the_one() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Worker("a", []))
        with pytest.raises(ActorExited) as caught:
            await ref.call("group")
        assert isinstance(caught.value.reason, Crash)
        assert isinstance(caught.value.reason.exc, ValueError)
        ref = await system.start(lambda: Worker("a", []))
        with pytest.raises(ActorExited) as caught:
            await ref.call("groups")
        assert isinstance(caught.value.reason, Crash)
        assert isinstance(caught.value.reason.exc, ExceptionGroup)


async def test_monitors_outside_the_actors_tell_once_and_can_be_taken_back() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Worker("a", []), name="a")
        first, second, third = system.monitor(ref), system.monitor("a"), system.monitor(ref)
        system.demonitor(third)
        assert "up" in repr(first)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.wait)
            nursery.start_soon(first.wait)
            await trio.testing.wait_all_tasks_blocked()
            system.kill(ref, why="test")
            system.kill(ref, why="again")
        for monitor in (first, second):
            down = await monitor.wait()
            assert (down.ref, down.reason, down.monitor) == (ref, Killed("test"), monitor)
        assert third.down is None
        assert (await system.monitor(ref).wait()).reason == NoProcess()
        nobody = await system.monitor("nobody").wait()
        assert (nobody.ref, nobody.reason) == (None, NoProcess())
        system.send_exit(ref, Shutdown())  # the dead do not mind


async def test_a_name_is_looked_up_at_every_use() -> None:
    async with open_system() as system:
        via = system.via("it")
        with pytest.raises(ActorNotFound):
            via.info_nowait("x")
        await via.cast("nobody minds")
        via.cast_nowait("nobody minds")
        for _ in range(2):
            ref = await system.start(lambda: Worker("it", []), name="it")
            assert via.ref is ref
            assert await via.call("hello") == "hello"
            via.info_nowait("noted")
            await via.cast("noted")
            via.cast_nowait("noted")
            await ref.stop()
        assert (str(via), repr(via)) == ("it", "<via it>")
