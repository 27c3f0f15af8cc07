"""Deaths with consequences: children, orphans, links, and what the dead leave behind."""

from __future__ import annotations

import math
from functools import partial

import pytest
import trio

from actorllama.actors import (
    Actor,
    Caller,
    ChildSpec,
    Context,
    DynamicSupervisor,
    ExitReason,
    InitOutcome,
    Killed,
    NoReply,
    Outcome,
    Ready,
    Ref,
    Reply,
    Server,
    Supervisor,
    open_system,
    start_child,
    terminate_child,
    which_children,
)
from actorllama.actors.events import UNWIND_FAILED
from actorllama.errors import ActorExited, StartRefused
from actorllama.telemetry import StrictBus, record

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


async def test_an_unsupervised_child_ends_with_its_parent_within_its_grace(autojump_clock: Clock) -> None:
    log: list[str] = []

    class Parent(Worker):
        async def handle_call(self, message: str, caller: Caller) -> Outcome:
            for name, shutdown in (("brutal", "brutal_kill"), ("quick", 1.0), ("stuck", 1.0)):
                nap_s = math.inf if name == "stuck" else 0.0
                await self.ctx.start(
                    partial(Worker, name, log, nap_s=nap_s),
                    name=name,
                    shutdown=shutdown,  # type: ignore[arg-type]
                )
            return Reply()

    async with open_system() as system:
        parent = await system.start(lambda: Parent("parent", log))
        await parent.call("start")
        monitors = [system.monitor(name) for name in ("brutal", "quick", "stuck")]
        system.kill(parent, why="test")
        reasons = [str((await monitor.wait()).reason) for monitor in monitors]
        assert trio.current_time() == pytest.approx(1.0)
    assert log == ["quick killed (test) at 0.0"]
    assert reasons[1] == "killed (test)"
    assert "parent is dead" in reasons[0]
    assert "grace" in reasons[2]


async def test_a_supervisor_that_is_starting_a_slow_child_can_be_stopped(autojump_clock: Clock) -> None:
    class Slow(Worker):
        async def init(self, ctx: Context) -> InitOutcome:
            await trio.sleep_forever()

    slow = ChildSpec(id="slow", start=lambda: Slow("slow", []))
    log: list[str] = []
    first = ChildSpec(id="first", start=lambda: Worker("first", log))
    with trio.move_on_after(1):
        async with open_system() as system:
            dynamic = await system.start(DynamicSupervisor)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(start_child, dynamic, slow)
                nursery.start_soon(system.start, lambda: Supervisor(children=(first, slow)))
    assert trio.current_time() == pytest.approx(1.0)
    assert log == ["first shutdown at 1.0"]


async def test_a_long_link_chain_falls_without_recursion() -> None:
    class Linked(Worker):
        def __init__(self, other: list[Ref]) -> None:
            super().__init__("", [])
            self.other = other

        async def init(self, ctx: Context) -> InitOutcome:
            if self.other:
                ctx.link(self.other[-1])
            return Ready()

    refs: list[Ref] = []
    async with open_system() as system:
        for _ in range(400):
            refs.append(await system.start(lambda: Linked(refs)))
        system.kill(refs[0], why="test")
        assert all(ref.exit_reason == Killed("test") for ref in refs)


class Messy(Worker):
    """Leaves something behind when it is killed, that raises."""

    async def handle_call(self, message: str, caller: Caller) -> Outcome:
        if message == "nursery":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                nursery.start_soon(self.raise_later)
        if message == "interrupted nursery":
            async with trio.open_nursery():
                raise KeyboardInterrupt
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("left behind")

    async def raise_later(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("left behind")


@pytest.mark.parametrize("message", ["alone", "nursery"])
async def test_what_a_killed_actor_left_behind_harms_nobody_and_is_told(message: str) -> None:
    log: list[str] = []
    bus = StrictBus()
    with record(bus, UNWIND_FAILED) as told:
        async with open_system(bus=bus) as system:
            ref = await system.start(lambda: Messy("m", log))
            async with trio.open_nursery() as nursery:

                async def call() -> None:
                    with pytest.raises(ActorExited):
                        await ref.call(message)

                nursery.start_soon(call)
                await trio.testing.wait_all_tasks_blocked()
                system.kill(ref, why="test")
            await trio.testing.wait_all_tasks_blocked()
            assert ref.exit_reason == Killed("test")
    assert [str(fact.metadata["error"]) for fact in told.facts] == ["left behind"]
    assert log == []


async def test_an_interrupt_in_a_nursery_of_an_actor_comes_out_too() -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the block is what is tested
        async with open_system() as system:
            ref = await system.start(lambda: Messy("m", []))
            with pytest.raises(ActorExited):
                await ref.call("interrupted nursery")
            await trio.sleep_forever()


async def test_a_caller_sees_the_crash_as_the_cause() -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Worker("a", []))
        with pytest.raises(ActorExited) as caught:
            await ref.call("group")
        assert isinstance(caught.value.__cause__, ValueError)


async def test_a_base_actor_handles_nothing() -> None:
    async with open_system() as system:
        ref = await system.start(Actor)
        assert "actor#1" in repr(system.process_of(ref))
        await ref.cast("x")
        await trio.testing.wait_all_tasks_blocked()
        assert "NotImplementedError" in str(ref.exit_reason)


def _bug() -> None:
    raise ZeroDivisionError


async def test_a_bug_in_the_kernel_is_not_hidden() -> None:
    refs: list[Ref] = []
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
        async with open_system() as system:
            refs.append(await system.start(lambda: Worker("a", [])))
            system.timers.after(0, _bug)
            await trio.sleep_forever()
    assert refs[0].exit_reason == Killed("the system failed")


async def test_a_bug_in_the_kernel_is_not_hidden_by_what_an_actor_leaves_behind() -> None:
    with pytest.RaisesGroup(ZeroDivisionError, ValueError, flatten_subgroups=True):
        async with open_system() as system, trio.open_nursery() as nursery:
            ref = await system.start(lambda: Messy("m", []))

            async def call() -> None:
                with pytest.raises(ActorExited):
                    await ref.call("nursery")

            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            system.timers.after(0, _bug)
            await trio.sleep_forever()


async def test_a_closing_system_waits_for_orphans(autojump_clock: Clock) -> None:
    log: list[str] = []

    class Parent(Worker):
        async def handle_call(self, message: str, caller: Caller) -> Outcome:
            if message == "refused":
                with pytest.raises(StartRefused):
                    await self.ctx.start(lambda: object())  # type: ignore[arg-type,return-value]
            else:
                await self.ctx.start(lambda: Worker("child", log, nap_s=1))
            return Reply()

    async with open_system() as system:
        parent = await system.start(lambda: Parent("parent", log))
        await parent.call("refused")
        assert parent.is_alive
        await parent.call("start")
        system.kill(parent, why="test")
    assert log == ["child killed (test) at 1.0"]


async def test_a_supervisor_that_is_to_stop_brings_nobody_back(autojump_clock: Clock) -> None:
    log: list[str] = []

    class Counting(Worker):
        async def init(self, ctx: Context) -> InitOutcome:
            log.append(f"{self.name} up")
            return Ready()

    specs = tuple(
        ChildSpec(id=name, name=name, start=partial(Counting, name, log, nap_s=nap_s))
        for name, nap_s in (("a", 0.0), ("b", 1.0), ("c", 0.0))
    )
    async with open_system() as system:
        await system.start(lambda: Supervisor(children=specs, strategy="one_for_all"))
        log.clear()
        first = system.whereis("a")
        assert first is not None
        system.kill(first, why="test")
        await trio.testing.wait_all_tasks_blocked()
    assert log == ["c shutdown at 0.0", "b shutdown at 1.0"]


async def test_children_that_died_unheard_are_stopped_without_waiting() -> None:
    specs = tuple(ChildSpec(id=name, name=name, start=partial(Worker, name, [])) for name in "ab")
    async with open_system() as system:
        sup = await system.start(lambda: Supervisor(children=specs, strategy="one_for_all", max_restarts=5))
        for name in "ab":
            ref = system.whereis(name)
            assert ref is not None
            system.kill(ref, why="test")
        await terminate_child(sup, "b")
        assert [info.state for info in await which_children(sup)] == ["stopped", "running"]
