"""The one thread that computes: fair by weight, orderly at the end, safe from a failing loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
import trio

from actorllama.engine.commands import CancelTurn
from actorllama.engine.host import EngineHost, Seat
from actorllama.engine.reports import StepReport
from actorllama.errors import DecodeError, StateError
from actorllama.ids import TurnId
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.inline_host import InlineHost
from actorllama.testing.loop_rig import LoopRig, open_loop

ENDLESS = FakeLanguage(end_one_in=0)


@contextmanager
def running_host() -> Generator[EngineHost]:
    """Start a host and end it."""
    host = EngineHost()
    host.start()
    try:
        yield host
    finally:
        assert host.close(timeout_s=60)


async def wait_for(event: threading.Event) -> None:
    with trio.fail_after(60):
        assert await trio.to_thread.run_sync(event.wait, 4.0)


def fail_the_test(error: Exception) -> None:
    raise AssertionError("this loop does not fail") from error


def on_thread(host: EngineHost, seat: Seat, rig: LoopRig, act: Callable[[], None]) -> None:
    """Drive the rig where its owner is: on the host thread."""
    host.run(act).result(timeout=180)


def test_a_loop_runs_its_turns_on_the_host_thread() -> None:
    with open_loop() as rig, running_host() as host:
        seat = host.attach(rig.loop, on_failed=fail_the_test)
        ended = threading.Event()

        def post(report: StepReport) -> None:
            rig.reports.append(report)
            ended.set()

        rig.loop._post = post
        on_thread(host, seat, rig, lambda: rig.start(1, "hello", max_tokens=8))
        assert ended.wait(4)
        host.detach(seat, lambda: None)
        host.run(lambda: None).result(timeout=180)

        assert rig.outcome(1) == rig.expected(1)


def test_a_loop_whose_step_fails_is_taken_away_and_its_owner_told() -> None:
    backend = FakeBackend(ENDLESS)
    failures: list[Exception] = []
    told = threading.Event()

    def on_failed(error: Exception) -> None:
        failures.append(error)
        told.set()

    with open_loop(backend) as rig, open_loop() as other, running_host() as host:
        backend.faults.fail_decode(-3, nth=3)
        seat = host.attach(rig.loop, on_failed=on_failed)
        host.attach(other.loop, on_failed=fail_the_test)
        on_thread(host, seat, rig, lambda: rig.start(1, "doubt", max_tokens=10_000))
        assert told.wait(4)
        n_batches = len(backend.batches)
        host.run(lambda: None).result(timeout=180)

        assert [type(error) for error in failures] == [DecodeError]
        assert backend.ledger.n_open("sampler") == 0, "its loop was closed"
        assert (len(backend.batches), rig.ends) == (n_batches, {}), "nobody steps it any more"
        # The host lives on: the other loop takes turns.
        host.run(lambda: other.start(1, "goes on", max_tokens=3)).result(timeout=180)
        while not host.run(lambda: 1 in other.ends).result(timeout=180):
            pass
        assert other.outcome(1) == other.expected(1)


def test_detach_answers_when_no_step_will_touch_the_loop_again() -> None:
    backend = FakeBackend(ENDLESS)
    with open_loop(backend) as rig, running_host() as host:
        seat = host.attach(rig.loop, on_failed=fail_the_test)
        on_thread(host, seat, rig, lambda: rig.start(1, "endless", max_tokens=10_000))
        detached = threading.Event()
        host.detach(seat, detached.set)
        assert detached.wait(4)
        n_batches = len(backend.batches)
        host.run(lambda: None).result(timeout=180)

        assert len(backend.batches) == n_batches


def test_detaching_twice_is_harmless_and_commands_after_it_are_dropped() -> None:
    with open_loop() as rig, running_host() as host:
        seat = host.attach(rig.loop, on_failed=fail_the_test)
        done = [threading.Event(), threading.Event()]
        for event in done:
            host.detach(seat, event.set)
        host.submit(seat, CancelTurn(turn_id=TurnId(1), reason="late"))
        assert all(event.wait(4) for event in done)


async def test_closing_waits_for_the_step_under_way_and_handles_what_was_queued() -> None:
    backend = FakeBackend(ENDLESS)
    gate = backend.faults.hold_decode(nth=2)
    with open_loop(backend) as rig:
        host = EngineHost()
        host.start()
        seat = host.attach(rig.loop, on_failed=fail_the_test)
        await trio.to_thread.run_sync(
            lambda: on_thread(host, seat, rig, lambda: rig.start(1, "x", max_tokens=9))
        )
        await gate.wait_entered()
        late = host.run(lambda: "handled")
        assert not await trio.to_thread.run_sync(lambda: host.close(timeout_s=0.01)), "the step is not over"
        gate.release()
        assert await trio.to_thread.run_sync(lambda: host.close(timeout_s=60))

        assert late.result(timeout=0) == "handled"
        assert not host.is_running


def test_a_closed_host_refuses_work() -> None:
    with running_host() as host:
        assert host.close(timeout_s=60)
        with pytest.raises(StateError, match="it is closed"):
            host.run(lambda: None)


def test_a_function_on_the_host_thread_tells_its_result_or_its_error() -> None:
    with running_host() as host:
        assert host.run(lambda: threading.current_thread().name).result(timeout=180) == "actorllama-engine"
        with pytest.raises(ZeroDivisionError):
            host.run(lambda: 1 // 0).result(timeout=180)


# -- fairness, without a thread: each step costs one tick of the inline host's clock -------------------


async def steps_of_two(weight: float, *, n_late: int = 0, n_ticks: int = 60) -> tuple[int, int]:
    """Let two loops that always have work share a host; return how many steps each took.

    The second one has no work before the first has taken ``n_late`` steps.
    """
    with (
        open_loop(FakeBackend(ENDLESS), ctx_per_seq=2048) as one,
        open_loop(FakeBackend(ENDLESS), ctx_per_seq=2048) as two,
    ):
        async with trio.open_nursery() as nursery:
            host = InlineHost(nursery)
            host.start()
            host.attach(one.loop, on_failed=fail_the_test)
            host.attach(two.loop, on_failed=fail_the_test, weight=weight)
            one.start(1, "one", max_tokens=2000)
            while one.loop.statistics().n_steps < n_late:
                await trio.lowlevel.checkpoint()
            n_before = one.loop.statistics().n_steps
            two.start(1, "two", max_tokens=2000)
            while one.loop.statistics().n_steps + two.loop.statistics().n_steps < n_before + n_ticks:
                await trio.lowlevel.checkpoint()
            host.close(timeout_s=0)
        return one.loop.statistics().n_steps - n_before, two.loop.statistics().n_steps


async def test_two_loops_of_equal_weight_take_turns() -> None:
    n_one, n_two = await steps_of_two(1.0)
    assert abs(n_one - n_two) <= 1


async def test_a_loop_of_triple_weight_takes_three_steps_of_four() -> None:
    n_one, n_two = await steps_of_two(3.0)
    assert abs(n_two - 3 * n_one) <= 4


async def test_a_loop_that_was_idle_does_not_spend_what_it_saved_up() -> None:
    n_one, n_two = await steps_of_two(1.0, n_late=300)
    assert abs(n_one - n_two) <= 2
