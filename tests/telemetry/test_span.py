from collections.abc import Generator, Iterator

import pytest
import trio

from actorllama.telemetry import Bus, MemoryHandler, StrictBus, declare_span, record
from actorllama.telemetry.span import Kind, kind_of

TURN = declare_span(
    ("engine", "turn"),
    doc="a turn",
    measurements=("n_tokens",),
    metadata=("model",),
    result=("finish_reason",),
)


def bus_at(*times_s: float) -> StrictBus:
    """Make a bus whose monotonic clock shows these times, one after another."""
    clock: Iterator[float] = iter(times_s)
    return StrictBus(monotonic_s=lambda: next(clock), system_s=lambda: 1_000.0)


def test_a_span_that_ends_well_executes_start_and_stop() -> None:
    bus = bus_at(10.0, 12.5)
    with record(bus) as heard, bus.span(TURN, {"model": "chat"}) as span:
        span.measure(n_tokens=3)
        span.measure(n_tokens=4)
        span.note(finish_reason="stop")

    start, stop = heard.facts
    assert (start.event, stop.event) == (TURN.start, TURN.stop)
    assert start.measurements == {"monotonic_time_s": 10.0, "system_time_s": 1_000.0}
    assert start.metadata == {"model": "chat", "span_id": 1}
    assert stop.measurements == {"duration_s": 2.5, "monotonic_time_s": 12.5, "n_tokens": 4}
    assert stop.metadata == {"model": "chat", "span_id": 1, "finish_reason": "stop"}


def test_an_error_closes_the_span_and_goes_on() -> None:
    bus = bus_at(1.0, 2.0)
    error = ValueError("bad")

    def fail() -> None:
        with bus.span(TURN, {"model": "chat"}):
            raise error

    with record(bus, TURN.exception) as heard, pytest.raises(ValueError, match="bad") as caught:
        fail()

    assert caught.value is error
    assert heard.facts[0].measurements == {"duration_s": 1.0, "monotonic_time_s": 2.0}
    assert heard.facts[0].metadata == {"model": "chat", "span_id": 1, "kind": "error", "error": error}


async def test_a_cancelled_span_around_an_await_is_closed_as_cancelled() -> None:
    bus = StrictBus()
    with record(bus) as heard, trio.CancelScope() as scope, bus.span(TURN, {"model": "chat"}):
        scope.cancel()
        await trio.sleep_forever()

    assert scope.cancelled_caught
    assert heard.names() == ["engine.turn.start", "engine.turn.exception"]
    assert heard.facts[1].metadata["kind"] == "cancelled"


async def test_a_span_around_a_nursery_is_closed_as_cancelled() -> None:
    bus = StrictBus()
    with record(bus, TURN.exception) as heard, trio.CancelScope() as scope, bus.span(TURN):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()

    assert [fact.metadata["kind"] for fact in heard.facts] == ["cancelled"]


def test_an_abandoned_generator_closes_its_span() -> None:
    bus = StrictBus()

    def pieces() -> Generator[str, None, None]:
        with bus.span(TURN):
            yield "once"
            yield "upon"

    with record(bus, TURN.exception) as heard:
        generator = pieces()
        assert next(generator) == "once"
        generator.close()

    assert [fact.metadata["kind"] for fact in heard.facts] == ["cancelled"]


def test_spans_of_one_bus_have_ids_of_their_own() -> None:
    bus = Bus()
    with record(bus) as heard, bus.span(TURN) as outer, bus.span(TURN) as inner:
        pass

    assert outer.span_id != inner.span_id
    assert [fact.metadata["span_id"] for fact in heard.facts] == [1, 2, 2, 1]


def test_a_span_that_nobody_hears_reads_only_the_clock() -> None:
    bus = Bus(monotonic_s=lambda: 1.0, system_s=lambda: pytest.fail("nobody asked for the time of day"))
    with bus.span(TURN) as span:
        span.measure(n_tokens=1)

    assert bus.handler_ids() == ()


def test_a_handler_attached_inside_a_span_hears_its_end() -> None:
    bus, memory = Bus(), MemoryHandler()
    with bus.span(TURN):
        bus.attach("late", (), memory, None)

    assert memory.names() == ["engine.turn.stop"]


def test_a_handler_that_fails_at_the_end_of_a_span_harms_nobody() -> None:
    bus = Bus()

    def handler(*_facts: object) -> None:
        raise RuntimeError("broken")

    bus.attach("broken", TURN.stop, handler, None)
    with record(bus) as heard, bus.span(TURN):
        pass

    assert heard.names() == ["engine.turn.start", "telemetry.handler.failed", "engine.turn.stop"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(), "error"),
        (KeyboardInterrupt(), "exit"),
        (SystemExit(), "exit"),
        (GeneratorExit(), "cancelled"),
        (BaseExceptionGroup("", [GeneratorExit(), GeneratorExit()]), "cancelled"),
        (BaseExceptionGroup("", [GeneratorExit(), ExceptionGroup("", [ValueError()])]), "error"),
        (BaseExceptionGroup("", [ValueError(), KeyboardInterrupt()]), "exit"),
    ],
)
def test_the_kind_of_an_ending_is_its_gravest_part(error: BaseException, expected: Kind) -> None:
    assert kind_of(error) == expected
