"""Unload a model while turns run, wait, or have just died with it."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from actorllama import Runtime, open_runtime
from actorllama.engine import ModelState
from actorllama.engine.reports import LoopFailed
from actorllama.errors import (
    DecodeError,
    ModelNotLoaded,
    ModelUnavailable,
    TurnCancelled,
)
from actorllama.runtime.names import model_name
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_faults import Gate

pytestmark = pytest.mark.usefixtures("loop_stays_free")


async def load(rt: Runtime, name: str = "fake", **options: int) -> None:
    """Load, for a nursery."""
    await rt.load(name, "x.gguf", n_seq=options.get("n_seq", 2), ctx_per_seq=2048)


class Client:
    """A caller of one turn, and what became of it."""

    def __init__(self) -> None:
        self.outcome: object = None

    async def take(self, rt: Runtime, max_tokens: int = 20) -> None:
        try:
            self.outcome = (await rt.model("fake").complete("hello", max_tokens=max_tokens)).finish_reason
        except Exception as error:  # noqa: BLE001 - the outcome is what the test asks for
            self.outcome = type(error)


async def held_in_a_turn(rt: Runtime, nursery: trio.Nursery, gate: Gate, max_tokens: int = 20) -> Client:
    """Start a turn and wait until it stands inside a step."""
    client = Client()
    nursery.start_soon(client.take, rt, max_tokens)
    with trio.fail_after(60):
        await gate.wait_entered()
    return client


async def test_unloading_lets_running_turns_end_and_refuses_new_ones(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_decode(nth=2)
    async with open_runtime(backend=fake_backend) as rt:
        await load(rt)
        model = rt.model("fake")
        async with trio.open_nursery() as nursery:
            client = await held_in_a_turn(rt, nursery, gate)
            nursery.start_soon(partial(rt.unload, "fake", grace_s=5))
            while (await model.status()).state != ModelState.DRAINING.value:
                await trio.lowlevel.checkpoint()
            with pytest.raises(ModelUnavailable, match="being unloaded"):
                await model.complete("late", max_tokens=2)
            gate.release()
        assert client.outcome in ("length", "end")
        assert await rt.models() == ()


async def test_unloading_sends_queued_turns_away(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_decode(nth=2)
    async with open_runtime(backend=fake_backend) as rt:
        await load(rt, n_seq=1)
        async with trio.open_nursery() as nursery:
            running = await held_in_a_turn(rt, nursery, gate)
            queued = Client()
            nursery.start_soon(queued.take, rt)
            while (await rt.model("fake").status()).n_queued == 0:
                await trio.lowlevel.checkpoint()
            nursery.start_soon(partial(rt.unload, "fake", grace_s=5))
            while queued.outcome is None:
                await trio.lowlevel.checkpoint()
            gate.release()
        assert queued.outcome is ModelUnavailable
        assert running.outcome in ("length", "end")


async def test_unloading_without_grace_cancels_running_turns(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_decode(nth=2)
    async with open_runtime(backend=fake_backend) as rt:
        await load(rt)
        async with trio.open_nursery() as nursery:
            client = await held_in_a_turn(rt, nursery, gate, max_tokens=1000)

            async def unload() -> None:
                with trio.fail_after(60):
                    await rt.unload("fake", grace_s=0)

            nursery.start_soon(unload)
            await trio.testing.wait_all_tasks_blocked(0.01)
            gate.release()
        assert client.outcome is TurnCancelled


async def test_a_crash_while_unloading_ends_it_and_loads_nothing_again(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_decode(nth=2)
    fake_backend.faults.fail_decode(-3, nth=3)
    async with open_runtime(backend=fake_backend) as rt:
        await load(rt)
        model = rt.model("fake")
        async with trio.open_nursery() as nursery:
            client = await held_in_a_turn(rt, nursery, gate)

            async def unload() -> None:
                with trio.fail_after(60):
                    await rt.unload("fake", grace_s=3)

            nursery.start_soon(unload)
            while (await model.status()).state != ModelState.DRAINING.value:
                await trio.lowlevel.checkpoint()
            gate.release()
        assert client.outcome is ModelUnavailable
        assert fake_backend.faults.n_loads == 1


async def test_a_model_that_crashed_just_before_is_unloaded_at_once(fake_backend: FakeBackend) -> None:
    """Its supervisor starts another one, and that is not what unloading may wait for."""
    async with open_runtime(backend=fake_backend) as rt:
        await load(rt)
        ref = rt.system.whereis(model_name("fake"))
        assert ref is not None
        ref.info_nowait(LoopFailed(error=DecodeError(code=-3, is_retryable=False)))
        with trio.fail_after(30):
            await rt.unload("fake")
        assert await rt.models() == ()
    fake_backend.ledger.check()


async def test_unloading_twice_at_once_is_one_unloading(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_decode(nth=2)
    outcomes: list[str] = []

    async def unload(rt: Runtime) -> None:
        try:
            await rt.unload("fake", grace_s=5)
            outcomes.append("unloaded")
        except ModelNotLoaded:
            outcomes.append("not loaded")

    async with open_runtime(backend=fake_backend) as rt:
        await load(rt)
        async with trio.open_nursery() as nursery:
            await held_in_a_turn(rt, nursery, gate)
            nursery.start_soon(unload, rt)
            nursery.start_soon(unload, rt)
            await trio.testing.wait_all_tasks_blocked(0.01)
            gate.release()
    assert sorted(outcomes) in (["unloaded", "unloaded"], ["not loaded", "unloaded"])
