"""Native calls: their actor may die, their resource is freed exactly once, after they returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
import trio

from actorllama.actors import (
    Caller,
    Context,
    InitOutcome,
    Killed,
    Outcome,
    Owned,
    Ready,
    Ref,
    Reply,
    Server,
    Shutdown,
    open_system,
)
from actorllama.actors.events import RELEASE_FAILED
from actorllama.errors import ActorExited
from actorllama.telemetry import StrictBus, record

R = TypeVar("R")


class Device:
    """A runner that a test holds in its hand, and the resource that runs on it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.gate = trio.Event()

    async def __call__(self, fn: Callable[[], R], /, *, limiter: trio.CapacityLimiter) -> R:
        async with limiter:
            result = fn()
            if result == "slow":
                await self.gate.wait()
                self.log.append("returned")
            return result


class User(Server[str, str, object]):
    """Owns a resource and calls it."""

    def __init__(self, device: Device, *, has_abort: bool = False) -> None:
        self.device = device
        self.has_abort = has_abort

    async def init(self, ctx: Context) -> InitOutcome:
        log = self.device.log

        def close(value: str) -> None:
            log.append(f"freed {value}")
            if value == "unfreeable":
                raise OSError(value)

        self.owned: Owned[str] = ctx.own(
            "it", close, abort=(lambda value: log.append("aborted")) if self.has_abort else None
        )
        self.close = close
        return Ready()

    async def handle_call(self, message: str, caller: Caller) -> Outcome:
        match message:
            case "release":
                self.ctx.release(self.owned)
                self.ctx.release(self.owned)
            case "unfreeable":
                self.ctx.own("unfreeable", self.close)
            case "raise":
                await self.ctx.run_native(self.fail, self.owned)
            case _:
                return Reply(await self.ctx.run_native(lambda value: message, self.owned))
        return Reply()

    def fail(self, value: str) -> None:
        raise OSError(value)


@pytest.mark.parametrize("has_abort", [False, True])
async def test_a_kill_during_a_native_call_is_told_at_once_and_frees_after_the_call(has_abort: bool) -> None:
    device = Device()
    async with open_system(runner=device) as system:
        ref = await system.start(lambda: User(device, has_abort=has_abort), name="user")
        async with trio.open_nursery() as nursery:

            async def call() -> None:
                with pytest.raises(ActorExited) as caught:
                    await ref.call("slow")
                assert caught.value.reason == Killed("test")

            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            monitor = system.monitor(ref)
            system.kill(ref, why="test")
            assert system.whereis("user") is None
            assert (await monitor.wait()).reason == Killed("test")
        await trio.testing.wait_all_tasks_blocked()
        before = ["aborted"] if has_abort else []
        assert device.log == before
        device.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert device.log == [*before, "returned", "freed it"]
    assert device.log == [*before, "returned", "freed it"]


async def test_a_system_does_not_end_before_its_native_calls_have() -> None:
    device = Device()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with open_system(runner=device) as system:
                ref = await system.start(lambda: User(device))
                nursery.start_soon(call_in_vain, ref)
                await trio.testing.wait_all_tasks_blocked()
                system.kill(ref, why="test")
                scope.cancel()
                nursery.start_soon(open_later, device)
    assert device.log == ["returned", "freed it"]


async def call_in_vain(ref: Ref) -> None:
    with pytest.raises(ActorExited):
        await ref.call("slow")


async def open_later(device: Device) -> None:
    await trio.testing.wait_all_tasks_blocked()
    device.gate.set()


async def test_a_native_result_is_a_reply_and_a_native_error_is_a_crash() -> None:
    device = Device()
    async with open_system(runner=device) as system:
        ref = await system.start(lambda: User(device))
        assert await ref.call("quick") == "quick"
        with pytest.raises(ActorExited, match="OSError"):
            await ref.call("raise")
        await trio.testing.wait_all_tasks_blocked()
        assert device.log == ["freed it"]


async def test_an_orderly_end_frees_after_terminate_and_an_early_release_frees_once() -> None:
    device = Device()

    class Tidy(User):
        async def terminate(self, reason: object) -> None:
            device.log.append("terminated")

    async with open_system(runner=device) as system:
        await (await system.start(lambda: Tidy(device))).stop(Shutdown())
        await trio.testing.wait_all_tasks_blocked()
        assert device.log == ["terminated", "freed it"]
        ref = await system.start(lambda: User(device))
        await ref.call("release")
        with pytest.raises(ActorExited, match="is released"):
            await ref.call("quick")
    assert device.log == ["terminated", "freed it", "freed it"]


async def test_an_abort_that_raises_is_told_and_the_death_goes_on() -> None:
    device = Device()
    bus = StrictBus()

    def refuse(value: str) -> None:
        raise OSError(value)

    class Stubborn(User):
        async def init(self, ctx: Context) -> InitOutcome:
            self.owned = ctx.own("it", device.log.append, abort=refuse)
            return Ready()

    with record(bus, RELEASE_FAILED) as told:
        async with open_system(runner=device, bus=bus) as system, trio.open_nursery() as nursery:
            ref = await system.start(lambda: Stubborn(device))
            nursery.start_soon(call_in_vain, ref)
            await trio.testing.wait_all_tasks_blocked()
            system.kill(ref, why="test")
            assert not ref.is_alive
            device.gate.set()
    assert device.log == ["returned", "it"]
    assert len(told.facts) == 1


async def test_a_resource_that_cannot_be_freed_is_told() -> None:
    device = Device()
    bus = StrictBus()
    with record(bus, RELEASE_FAILED) as told:
        async with open_system(runner=device, bus=bus) as system:
            ref = await system.start(lambda: User(device))
            await ref.call("unfreeable")
    assert [type(fact.metadata["error"]) for fact in told.facts] == [OSError]
    assert sorted(device.log) == ["freed it", "freed unfreeable"]


async def test_the_runner_outside_tests_is_a_thread() -> None:
    device = Device()
    async with open_system() as system:
        ref = await system.start(lambda: User(device))
        assert await ref.call("quick") == "quick"
    assert device.log == ["freed it"]
