"""What turns tell: their times, their cache, their end; and what handlers make of it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from actorllama import Model
from actorllama.engine.events import STEP_REPORTED, TURN_ENDED, TURN_FAILED
from actorllama.errors import ModelUnavailable
from actorllama.telemetry import (
    JsonLinesHandler,
    StrictBus,
    TelemetryOptions,
    attach_otel,
    attach_prometheus,
    attach_structlog,
    record,
)
from actorllama.testing.fake_backend import FakeBackend
from tests.runtime.model_rig import greedy, open_model, wait_until_idle

pytestmark = pytest.mark.usefixtures("loop_stays_free")


async def test_a_turn_that_goes_on_tells_where_its_past_was_found_and_how_long_that_took(
    backend: FakeBackend,
) -> None:
    bus = StrictBus()
    async with open_model(backend, bus=bus) as (_, model):
        with record(bus, TURN_ENDED) as heard:
            first = await model.complete("hello", max_tokens=4, temperature=0.0, keep=True)
            assert first.resume_key is not None
            await model.resume(first.resume_key, max_tokens=4)

    cold, warm = heard.facts
    assert (cold.metadata["cache_tier"], cold.measurements["restore_s"]) == (None, 0.0)
    assert warm.metadata["cache_tier"] in {"live", "ram"}
    assert warm.measurements["n_cached"] > 0
    assert min(warm.measurements["restore_s"], warm.measurements["save_s"], cold.measurements["save_s"]) > 0
    assert cold.metadata["text"] == first.text
    assert cold.measurements["decode_s"] == first.timings.decode_s
    assert first.timings.total_s == pytest.approx(
        sum(cold.measurements[f"{phase}_s"] for phase in ("queue", "restore", "prefill", "decode", "save"))
    )


async def test_a_cancelled_turn_tells_its_times_and_its_error(backend: FakeBackend) -> None:
    bus = StrictBus()
    async with open_model(backend, bus=bus) as (_, model):
        gate = backend.faults.hold_decode(nth=3)
        with record(bus, TURN_FAILED) as heard:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(greedy, model, "hello")
                await gate.wait_entered()
                nursery.cancel_scope.cancel()
            gate.release()
            await wait_until_idle(model)

    (fact,) = heard.facts
    assert fact.metadata["finish_reason"] == "cancelled"
    assert type(fact.metadata["error"]).__name__ == "TurnCancelled"
    assert fact.measurements["n_generated"] > 0
    assert fact.measurements["decode_s"] > 0


async def test_steps_tell_how_many_wait(backend: FakeBackend) -> None:
    bus = StrictBus()
    async with open_model(backend, n_seq=1, bus=bus) as (_, model):
        with record(bus, STEP_REPORTED) as heard:
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(greedy, model, "hello")

    waiting = [fact.measurements["n_queued"] for fact in heard.facts]
    assert max(waiting) > 0
    assert waiting[-1] == 0


def seconds_of(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


async def test_a_kept_and_continued_turn_makes_nested_spans(backend: FakeBackend) -> None:
    bus, exporter, provider = StrictBus(), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attach_otel(bus, tracer_provider=provider)
    async with open_model(backend, bus=bus) as (_, model):
        first = await model.complete("hello", max_tokens=4, temperature=0.0, keep=True)
        assert first.resume_key is not None
        assert await trio.to_thread.run_sync(bus.flush)
        exporter.clear()
        await model.resume(first.resume_key, max_tokens=4)
        assert await trio.to_thread.run_sync(bus.flush)
        spans = exporter.get_finished_spans()

    (root,) = (span for span in spans if span.parent is None)
    phases = [span for span in spans if span is not root]
    assert root.context is not None
    assert [span.name for span in phases] == ["queue", "restore", "prefill", "decode", "save"]
    assert all(span.parent and span.parent.span_id == root.context.span_id for span in phases)
    ends = [seconds_of(span) for span in phases]
    assert (ends[0][0], ends[-1][1]) == seconds_of(root)
    assert [end for _, end in ends[:-1]] == [start for start, _ in ends[1:]]


async def test_a_turn_is_below_the_span_in_which_it_was_asked_for(backend: FakeBackend) -> None:
    bus, exporter, provider = StrictBus(), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attach_otel(bus, tracer_provider=provider)
    tracer = provider.get_tracer("test")

    async def ask(model: Model, name: str) -> None:
        with tracer.start_as_current_span(name):
            if name == "streamed":
                async with model.stream("hello", max_tokens=3, temperature=0.0) as turn:
                    async for _ in turn:
                        pass
            else:
                await greedy(model, "hello")

    async with open_model(backend, bus=bus) as (_, model), trio.open_nursery() as nursery:
        for name in ("first", "second", "streamed"):
            nursery.start_soon(ask, model, name)
    async with open_model(backend, bus=bus) as (_, model):
        await greedy(model, "hello")

    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.context is not None}
    turns = [span for span in spans if span.name == "text_completion fake"]
    assert sorted(names[span.parent.span_id] for span in turns if span.parent) == [
        *("first", "second", "streamed")
    ]
    assert sum(span.parent is None for span in turns) == 1
    asked = {names[span.parent.span_id]: span.parent.trace_id for span in turns if span.parent}
    assert {
        span.name: span.context.trace_id for span in spans if span.name in asked and span.context
    } == asked


async def test_turns_that_a_crash_took_with_it_end_as_errors_and_the_next_one_does_not(
    backend: FakeBackend,
) -> None:
    bus, exporter, provider = StrictBus(), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attach_otel(bus, tracer_provider=provider)
    registry = attach_prometheus(bus)
    async with open_model(backend, bus=bus) as (_, model):
        backend.faults.fail_decode(-3, nth=2)
        with pytest.raises(ModelUnavailable):
            await greedy(model, "crash")
        await greedy(model, "hello")

    turns = [span for span in exporter.get_finished_spans() if span.name == "text_completion fake"]
    assert [span.status.status_code for span in turns] == [StatusCode.ERROR, StatusCode.UNSET]
    assert registry.get_sample_value("actorllama_model_failures_total", {"model": "fake"}) == 1
    assert (
        registry.get_sample_value("actorllama_model_loaded", {"model": "fake"}) == 0
    )  # the runtime is closed


@pytest.mark.parametrize("is_open", [False, True])
async def test_what_was_said_is_logged_only_when_asked_for(
    backend: FakeBackend, tmp_path: Path, *, is_open: bool
) -> None:
    bus, out, path = StrictBus(), io.StringIO(), tmp_path / "events.jsonl"
    attach_structlog(bus, TelemetryOptions(log_prompts=is_open), stream=out)
    with JsonLinesHandler(bus, path, log_prompts=is_open):
        async with open_model(backend, bus=bus) as (_, model):
            result = await greedy(model, "hello")

    logged = [json.loads(line) for line in out.getvalue().splitlines()]
    written = [json.loads(line) for line in path.read_text().splitlines()]
    (line,) = (line for line in logged if line["event"] == "engine.turn.ended")
    (row,) = (row for row in written if row["event"] == "engine.turn.ended")
    for told in (line, row["metadata"]):
        assert (told["text"] == result.text) == is_open
        assert isinstance(told["prompt"], list) == is_open
    assert [row["seq"] for row in written] == list(range(1, len(written) + 1))
