"""The actor of one model, spoken to by messages: admission, states, and what it says of itself."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import trio
from attrs import frozen
from trio.testing import wait_all_tasks_blocked

from actorllama.actors import Ref, Shutdown, System, open_system
from actorllama.engine import (
    CancelTake,
    Describe,
    EngineOptions,
    HostActor,
    ModelActor,
    ModelSpec,
    TakeTurn,
    TurnRequest,
    TurnStream,
    Unload,
    WaitReady,
)
from actorllama.errors import ActorExited, Busy, ModelLoadError, ModelUnavailable
from actorllama.ids import TurnId
from actorllama.native import ContextOptions, SamplingParams
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage

pytestmark = pytest.mark.usefixtures("loop_stays_free")

HOST = "host"


@frozen
class Desk:
    """A model actor and how to ask it for turns."""

    system: System
    model: Ref
    turn_ids: count[int]

    def turn(self, text: str = "hello", *, max_tokens: int = 8, stream: TurnStream | None = None) -> TakeTurn:
        """Make the message of a greedy turn."""
        request = TurnRequest(
            prompt=tuple(text.encode()), sampling=SamplingParams(temperature=0.0), max_tokens=max_tokens
        )
        return TakeTurn(turn_id=TurnId(next(self.turn_ids)), request=request, stream=stream)

    async def take(self, outcomes: list[object], message: TakeTurn | None = None) -> None:
        """Take a turn and note its outcome."""
        try:
            result = await self.model.call(message or self.turn(), timeout_s=math.inf)
            outcomes.append(result.finish_reason)
        except Exception as error:  # noqa: BLE001 - the outcome is what the test asks for
            outcomes.append(error)


@asynccontextmanager
async def open_desk(
    backend: FakeBackend, *, n_seq: int = 1, queue_capacity: int = 8
) -> AsyncGenerator[Desk, None]:
    """Start a host and a model actor, without a supervisor."""
    backend.language = FakeLanguage(end_one_in=0)
    spec = ModelSpec(
        name="fake",
        path=Path("fake.gguf"),
        backend=backend,
        context_options=ContextOptions(n_seq=n_seq, ctx_per_seq=64),
        engine_options=EngineOptions(queue_capacity=queue_capacity),
    )
    async with open_system() as system:
        await system.start(HostActor, name=HOST)
        model = await system.start(
            lambda: ModelActor(spec, host_name=HOST, cache_name="cache"), name="model", mailbox_capacity=100
        )
        with trio.fail_after(60):
            yield Desk(system, model, count(1))


async def test_starting_does_not_wait_for_the_load(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_load()
    async with open_desk(fake_backend) as desk:
        await gate.wait_entered()
        status = await desk.model.call(Describe())
        assert (status.state, status.n_free_slots, status.statistics) == ("loading", 0, None)
        gate.release()
        info = await desk.model.call(WaitReady())
        assert info.context.n_seq == 1
        assert (await desk.model.call(Describe())).state == "ready"


async def test_turns_asked_for_while_loading_are_taken_when_it_is_ready(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_load()
    outcomes: list[object] = []
    async with open_desk(fake_backend, n_seq=2) as desk, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(desk.take, outcomes)
        await wait_all_tasks_blocked(0.01)
        gate.release()
    assert outcomes == ["length"] * 3


async def test_callers_that_left_while_it_was_loading_take_no_place_in_the_queue(
    fake_backend: FakeBackend,
) -> None:
    load = fake_backend.faults.hold_load()
    step = fake_backend.faults.hold_decode()
    outcomes: list[object] = []
    async with open_desk(fake_backend, queue_capacity=1) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(desk.take, outcomes)
        await wait_all_tasks_blocked(0.01)
        async with trio.open_nursery() as leaving:
            for _ in range(3):
                leaving.start_soon(desk.take, outcomes)
            await wait_all_tasks_blocked(0.01)
            leaving.cancel_scope.cancel()
        nursery.start_soon(desk.take, outcomes)
        await wait_all_tasks_blocked(0.01)
        load.release()
        await step.wait_entered()
        assert (await desk.model.call(Describe())).n_queued == 1
        step.release()
    assert outcomes == ["length"] * 2


async def test_turns_are_taken_in_the_order_they_were_asked_for(fake_backend: FakeBackend) -> None:
    step = fake_backend.faults.hold_decode()
    order: list[str] = []

    async def take(desk: Desk, name: str) -> None:
        await desk.model.call(desk.turn(name, max_tokens=2), timeout_s=math.inf)
        order.append(name)

    async with open_desk(fake_backend) as desk, trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(take, desk, name)
            await wait_all_tasks_blocked(0.005)
        step.release()
    assert order == list("abcd")


async def test_a_full_queue_is_told_before_anything_is_computed(fake_backend: FakeBackend) -> None:
    step = fake_backend.faults.hold_decode()
    outcomes: list[object] = []
    async with open_desk(fake_backend, queue_capacity=1) as desk, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(desk.take, outcomes)
        await step.wait_entered()
        await wait_all_tasks_blocked(0.01)
        (refused,) = outcomes
        assert isinstance(refused, Busy)
        step.release()
    assert outcomes[1:] == ["length"] * 2


async def test_cancelling_what_is_not_known_changes_nothing(fake_backend: FakeBackend) -> None:
    outcomes: list[object] = []
    async with open_desk(fake_backend) as desk:
        await desk.model.call(WaitReady())
        desk.model.info_nowait(CancelTake(turn_id=TurnId(99), reason="never was"))
        await desk.take(outcomes)
    assert outcomes == ["length"]


async def test_a_queued_turn_that_is_cancelled_is_never_started(fake_backend: FakeBackend) -> None:
    step = fake_backend.faults.hold_decode()
    outcomes: list[object] = []
    async with open_desk(fake_backend) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(desk.take, outcomes)
        await step.wait_entered()
        queued = desk.turn("QUEUED")
        with trio.move_on_after(0.01):
            await desk.take(outcomes, queued)
        desk.model.info_nowait(CancelTake(turn_id=queued.turn_id, reason="left"))
        assert (await desk.model.call(Describe())).n_queued == 0
        step.release()
    assert all(ord("Q") not in batch.tokens for batch in fake_backend.batches)


async def test_a_stream_gets_text_as_it_comes(fake_backend: FakeBackend) -> None:
    outcomes: list[object] = []
    stream = TurnStream(window=64)
    async with open_desk(fake_backend) as desk:
        await desk.take(outcomes, desk.turn(stream=stream, max_tokens=20))
        stream.close()
        piece = await stream.receive()
        assert piece is not None
        assert piece.n_tokens == 20
    assert outcomes == ["length"]


async def test_unloading_an_idle_model_stops_it_at_once(fake_backend: FakeBackend) -> None:
    async with open_desk(fake_backend) as desk:
        await desk.model.call(WaitReady())
        ended = desk.system.monitor(desk.model)
        await desk.model.call(Unload(grace_s=100.0))
        assert (await ended.wait()).reason == Shutdown("unloaded")


async def test_unloading_while_loading_waits_for_the_loading_thread_to_leave(
    fake_backend: FakeBackend,
) -> None:
    gate = fake_backend.faults.hold_load()
    async with open_desk(fake_backend) as desk:
        await gate.wait_entered()
        ended = desk.system.monitor(desk.model)
        await desk.model.call(Unload(grace_s=0.0))
        await ended.wait()
        assert fake_backend.ledger.n_opened("model") == 0


async def test_the_grace_of_an_unload_is_kept(fake_backend: FakeBackend) -> None:
    """A turn that ends within the grace is not cancelled; one that does not, is."""
    step = fake_backend.faults.hold_decode(nth=2)
    outcomes: list[object] = []
    async with open_desk(fake_backend, n_seq=2) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(desk.take, outcomes, desk.turn(max_tokens=3))
        nursery.start_soon(desk.take, outcomes, desk.turn(stream=TurnStream(window=2), max_tokens=50))
        await step.wait_entered()
        await desk.model.call(Unload(grace_s=0.1))
        refused: list[object] = []
        await desk.take(refused)
        assert isinstance(refused[0], ModelUnavailable)
        step.release()
    assert outcomes[0] == "length"
    assert "being unloaded" in str(outcomes[1])


async def test_a_failed_load_ends_the_actor_with_the_error_and_no_crash(fake_backend: FakeBackend) -> None:
    fake_backend.faults.fail_load("not a model")
    async with open_desk(fake_backend) as desk:
        with pytest.raises(ActorExited) as ended:
            await desk.model.call(WaitReady())
        assert isinstance(ended.value.reason, Shutdown)
        assert isinstance(ended.value.reason.term, ModelLoadError)


async def test_a_model_without_its_host_crashes_and_says_so(fake_backend: FakeBackend) -> None:
    gate = fake_backend.faults.hold_load()
    async with open_desk(fake_backend) as desk:
        await gate.wait_entered()
        host = desk.system.whereis(HOST)
        assert host is not None
        await host.stop()
        gate.release()
        with pytest.raises(ActorExited, match="it is closed"):
            await desk.model.call(WaitReady())


async def test_the_diagram_shows_every_state() -> None:
    assert all(state in ModelActor.diagram() for state in ("LOADING", "READY", "DRAINING"))
