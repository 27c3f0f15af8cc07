import sys
import threading
import timeit
from collections.abc import Callable

import pytest

from actorllama.telemetry import (
    FACTS_DROPPED,
    HANDLER_FAILED,
    Bus,
    Event,
    Measurements,
    MemoryHandler,
    Metadata,
    record,
)

TURN_STOP = Event(
    name=("engine", "turn", "stop"), measurements=("duration_s",), metadata=("model",), doc="A turn ended."
)
TURN_START = Event(name=("engine", "turn", "start"), metadata=("model",), doc="A turn began.")
STEP = Event(name=("engine", "step", "done"), measurements=("n_tokens",), doc="A step was computed.")


def failing(error: BaseException) -> Callable[[Event, Measurements, Metadata, object], None]:
    def handler(_event: Event, _measurements: Measurements, _metadata: Metadata, _config: object) -> None:
        raise error

    return handler


def test_a_handler_gets_the_event_its_measurements_its_metadata_and_its_config() -> None:
    bus = Bus()
    calls: list[tuple[Event, Measurements, Metadata, str]] = []

    def handler(event: Event, measurements: Measurements, metadata: Metadata, config: str) -> None:
        calls.append((event, measurements, metadata, config))

    bus.attach("h", TURN_STOP, handler, "config")
    bus.execute(TURN_STOP, {"duration_s": 1.5}, {"model": "chat"})

    assert calls == [(TURN_STOP, {"duration_s": 1.5}, {"model": "chat"}, "config")]


def test_a_prefix_hears_every_event_below_it_and_an_event_only_itself() -> None:
    bus = Bus()
    handlers = {name: MemoryHandler() for name in ("all", "engine", "turn", "exact", "other")}
    bus.attach("all", (), handlers["all"], None)
    bus.attach("engine", ("engine",), handlers["engine"], None)
    bus.attach("turn", ("engine", "turn"), handlers["turn"], None)
    bus.attach("exact", TURN_STOP, handlers["exact"], None)
    bus.attach("other", ("eng",), handlers["other"], None)

    for event in (TURN_START, STEP, TURN_STOP):
        bus.execute(event)

    assert {name: len(handler.facts) for name, handler in handlers.items()} == {
        "all": 3,
        "engine": 3,
        "turn": 2,
        "exact": 1,
        "other": 0,
    }


def test_a_handler_of_many_prefixes_is_called_once_per_event_and_detached_from_all() -> None:
    bus = Bus()
    memory = MemoryHandler()
    bus.attach_many("many", [("engine",), TURN_STOP, STEP], memory, None)

    bus.execute(TURN_STOP)
    assert memory.names() == ["engine.turn.stop"]

    assert bus.detach("many")
    bus.execute(STEP)
    assert memory.names() == ["engine.turn.stop"]


def test_handlers_run_in_the_order_of_attachment() -> None:
    bus = Bus()
    order: list[str] = []

    def handler(_event: Event, _measurements: Measurements, _metadata: Metadata, config: str) -> None:
        order.append(config)

    for name in ("c", "a", "b"):
        bus.attach(name, (), handler, name)
    bus.execute(STEP)

    assert order == ["c", "a", "b"]
    assert bus.handler_ids() == ("c", "a", "b")
    assert repr(bus) == "<Bus handlers=['c', 'a', 'b']>"


def test_a_handler_id_is_taken_until_it_is_detached() -> None:
    bus = Bus()
    first, second = MemoryHandler(), MemoryHandler()
    bus.attach("h", (), first, None)

    with pytest.raises(ValueError, match="attached already"):
        bus.attach("h", (), second, None)
    bus.execute(STEP)
    assert (len(first.facts), len(second.facts)) == (1, 0)

    assert bus.detach("h")
    assert not bus.detach("h")
    bus.attach("h", (), second, None)


def test_an_async_handler_is_refused_when_it_is_attached() -> None:
    async def handler(
        _event: Event, _measurements: Measurements, _metadata: Metadata, _config: None
    ) -> None: ...

    with pytest.raises(TypeError, match="cannot wait"):
        Bus().attach("h", (), handler, None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_a_raising_handler_is_detached_and_reported_and_the_remaining_ones_run() -> None:
    bus = Bus()
    error = RuntimeError("broken")
    before, after = MemoryHandler(), MemoryHandler()
    bus.attach("before", STEP, before, None)
    bus.attach("broken", (), failing(error), None)
    bus.attach("after", STEP, after, None)

    with record(bus, HANDLER_FAILED) as heard:
        bus.execute(STEP)
        bus.execute(STEP)

    assert (len(before.facts), len(after.facts)) == (2, 2)
    assert bus.handler_ids() == ("before", "after")
    assert [fact.metadata for fact in heard.facts] == [
        {"handler_id": "broken", "failed_event": "engine.step.done", "error": error}
    ]
    assert heard.facts[0].measurements == {"n_handlers": 3}


def test_a_handler_of_failures_that_fails_is_reported_to_the_log_at_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus()
    bus.attach("broken", STEP, failing(RuntimeError("first")), None)
    bus.attach("also broken", HANDLER_FAILED, failing(RuntimeError("second")), None)

    bus.execute(STEP)

    assert bus.handler_ids() == ()
    assert [line.getMessage() for line in caplog.records] == [
        "handler 'also broken' failed on telemetry.handler.failed and was detached"
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_what_is_not_an_exception_passes_and_leaves_the_handler_attached(error: BaseException) -> None:
    bus = Bus()
    bus.attach("h", (), failing(error), None)

    with pytest.raises(type(error)):
        bus.execute(STEP)

    assert bus.handler_ids() == ("h",)


def test_a_handler_may_attach_and_detach_while_it_runs() -> None:
    bus = Bus()
    late = MemoryHandler()

    def swap(_event: Event, _measurements: Measurements, _metadata: Metadata, _config: None) -> None:
        bus.detach("swap")
        bus.attach("late", (), late, None)

    bus.attach("swap", (), swap, None)
    bus.execute(STEP)
    bus.execute(TURN_STOP)

    assert late.names() == ["engine.turn.stop"]
    assert bus.handler_ids() == ("late",)


def test_a_handler_that_detaches_itself_and_then_raises_is_not_reported() -> None:
    bus = Bus()

    def leave(_event: Event, _measurements: Measurements, _metadata: Metadata, _config: None) -> None:
        bus.detach("leave")
        raise RuntimeError("on the way out")

    bus.attach("leave", STEP, leave, None)
    with record(bus) as heard:
        bus.execute(STEP)

    assert heard.names() == ["engine.step.done"]


def test_is_listening_follows_attach_and_detach() -> None:
    bus = Bus()
    assert not bus.is_listening(STEP)
    bus.attach("h", ("engine", "step"), MemoryHandler(), None)
    assert bus.is_listening(STEP)
    assert not bus.is_listening(TURN_STOP)
    bus.detach("h")
    assert not bus.is_listening(STEP)


@pytest.mark.slow
def test_threads_that_execute_lose_nothing_while_others_attach_and_detach() -> None:
    bus = Bus()
    steady = MemoryHandler()
    bus.attach("steady", STEP, steady, None)
    n_facts, n_threads = 2_000, 4
    done = threading.Event()

    def tell() -> None:
        for _ in range(n_facts):
            bus.execute(STEP, {"n_tokens": 1})

    def churn() -> None:
        while not done.is_set():
            memory = MemoryHandler()
            bus.attach("passing", (), memory, None)
            bus.execute(TURN_STOP)
            assert "engine.turn.stop" in memory.names()
            bus.detach("passing")

    churner = threading.Thread(target=churn)
    tellers = [threading.Thread(target=tell) for _ in range(n_threads)]
    churner.start()
    for thread in tellers:
        thread.start()
    for thread in tellers:
        thread.join()
    done.set()
    churner.join()

    assert len(steady.facts) == n_facts * n_threads
    assert bus.handler_ids() == ("steady",)
    assert not bus.is_listening(TURN_STOP)


@pytest.mark.slow
def test_one_failure_seen_by_many_threads_is_reported_once() -> None:
    n_threads = 8
    bus = Bus()
    together = threading.Barrier(n_threads)

    def handler(_event: Event, _measurements: Measurements, _metadata: Metadata, _config: None) -> None:
        together.wait()
        raise RuntimeError("everywhere at once")

    bus.attach("broken", STEP, handler, None)
    with record(bus, HANDLER_FAILED) as heard:
        threads = [threading.Thread(target=bus.execute, args=(STEP,)) for _ in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(heard.facts) == 1


def test_a_handler_that_works_in_a_thread_of_its_own_can_be_given_up_and_is_reported_once() -> None:
    bus, error = Bus(), OSError("the disk is full")
    bus.attach("slow", STEP, MemoryHandler(), None)

    with record(bus, HANDLER_FAILED) as heard:
        assert bus.fail("slow", STEP, error)
        assert not bus.fail("slow", STEP, error)

    assert [fact.metadata for fact in heard.facts] == [
        {"handler_id": "slow", "failed_event": "engine.step.done", "error": error}
    ]


@pytest.mark.slow
def test_a_fact_that_nobody_hears_costs_at_most_a_microsecond() -> None:
    bus = Bus()
    bus.attach("elsewhere", ("cache",), MemoryHandler(), None)
    measurements, metadata = {"duration_s": 1.0}, {"model": "chat"}
    n_calls = 20_000

    tracer = sys.gettrace()
    sys.settrace(None)  # a coverage run traces every line; what is measured here is the code as users run it
    try:
        timer = timeit.Timer(lambda: bus.execute(TURN_STOP, measurements, metadata))
        best_s = min(timer.repeat(number=n_calls, repeat=7))
    finally:
        sys.settrace(tracer)

    assert best_s / n_calls <= 1e-6


def test_a_late_handler_hears_the_same_facts_with_the_time_when_they_were_told() -> None:
    now_s = [5.0]
    bus = Bus(system_s=lambda: now_s[0])
    heard: list[tuple[Event, Measurements, Metadata, float]] = []
    bus.attach_late(
        "late", [("engine", "turn"), STEP], lambda e, n, about, at_s: heard.append((e, n, about, at_s))
    )
    bus.execute(TURN_STOP, {"duration_s": 1.5}, {"model": "chat"})
    now_s[0] = 6.0
    bus.execute(STEP, {"n_tokens": 2})

    assert bus.flush(timeout_s=60)
    assert heard == [
        (TURN_STOP, {"duration_s": 1.5}, {"model": "chat"}, 5.0),
        (STEP, {"n_tokens": 2}, {}, 6.0),
    ]
    assert bus.handler_ids() == ("late",)


def test_a_late_handler_is_not_listening_to_what_is_too_quiet_for_it() -> None:
    bus, heard = Bus(), list[str]()
    debug = Event(name=("engine", "step", "reported"), level="debug", doc="Quiet.")
    bus.attach_late("late", [()], lambda event, _n, _a, _s: heard.append(str(event)), level="info")

    assert not bus.is_listening(debug)
    assert bus.is_listening(STEP)
    bus.execute(debug)
    bus.execute(STEP)
    assert bus.flush(timeout_s=60)
    assert heard == ["engine.step.done"]


def test_a_late_handler_that_raises_is_detached_reported_once_and_not_called_again() -> None:
    bus, error = Bus(), RuntimeError("broken")
    calls: list[str] = []
    others: list[str] = []

    def broken(event: Event, *_: object) -> None:
        calls.append(str(event))
        raise error

    bus.attach_late("broken", [()], broken)
    bus.attach_late("other", [STEP], lambda event, _n, _a, _s: others.append(str(event)))
    with record(bus, HANDLER_FAILED) as heard:
        for _ in range(3):
            bus.execute(STEP)
        assert bus.flush(timeout_s=60)

    assert calls == ["engine.step.done"]
    assert others == ["engine.step.done"] * 3
    assert bus.handler_ids() == ("other",)
    assert [fact.metadata for fact in heard.facts] == [
        {"handler_id": "broken", "failed_event": "engine.step.done", "error": error}
    ]


def test_a_late_handler_that_was_detached_still_hears_what_was_told_before() -> None:
    bus, heard = Bus(), list[str]()
    bus.attach_late("late", [()], lambda event, _n, _a, _s: heard.append(str(event)))
    bus.execute(STEP)
    assert bus.detach("late")
    bus.execute(TURN_STOP)

    assert bus.flush(timeout_s=60)
    assert heard == ["engine.step.done"]


def test_late_and_other_handlers_share_their_ids() -> None:
    bus = Bus()
    bus.attach_late("h", [()], lambda _e, _n, _a, _s: None)

    with pytest.raises(ValueError, match="attached already"):
        bus.attach("h", (), MemoryHandler(), None)


def test_facts_that_late_handlers_cannot_take_are_counted() -> None:
    bus, begun, may_go_on = Bus(), threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        begun.set()
        assert may_go_on.wait(60)

    bus.attach_late("slow", [STEP], slow)
    bus.execute(STEP)
    assert begun.wait(60)
    with record(bus, FACTS_DROPPED) as heard:
        for _ in range(10_000):
            bus.execute(STEP)
        may_go_on.set()
        assert bus.flush(timeout_s=60)

    assert [fact.measurements for fact in heard.facts] == [{"n_facts": 10_000 - 8192}]
