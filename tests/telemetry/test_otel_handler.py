import importlib
import json
import sys
from collections.abc import Mapping
from contextvars import copy_context

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from actorllama import actors, engine, telemetry
from actorllama.errors import ConfigError, DecodeError, RequestError, TurnCancelled
from actorllama.runtime.events import EVENTS as RUNTIME_EVENTS
from actorllama.telemetry import Bus, Measurements, Metadata, StrictBus, attach_otel
from actorllama.telemetry.otel_spans import OtelSpans

DECLARED = {
    event.name: event for event in (*telemetry.EVENTS, *actors.EVENTS, *engine.EVENTS, *RUNTIME_EVENTS)
}
NOW_S = 1_700_000_000.0
TURN: Mapping[str, float] = {
    "queue_s": 0.25,
    "restore_s": 0.5,
    "prefill_s": 0.125,
    "decode_s": 2.0,
    "save_s": 1.0,
    "n_prompt": 1000,
    "n_cached": 600,
    "n_generated": 101,
    "n_steps": 104,
}
SAID: Metadata = {
    "model": "chat",
    "turn_id": 7,
    "finish_reason": "end",
    "exactness": "exact",
    "cache_tier": "disk",
    "prompt": (1, 2),
    "text": "my secret",
}


class Rig:
    """A bus with the handler attached, and what it exported."""

    def __init__(self, *, log_prompts: bool = False) -> None:
        self.bus = StrictBus(system_s=lambda: NOW_S)
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        attach_otel(self.bus, tracer_provider=provider, log_prompts=log_prompts)

    def tell(self, name: str, numbers: Measurements, about: Metadata) -> None:
        event = DECLARED[tuple(name.split("."))]
        self.bus.execute(
            event,
            {**dict.fromkeys(event.measurements, 0), **numbers},
            {**dict.fromkeys(event.metadata, "x"), **about},
        )
        assert self.bus.flush(timeout_s=60)
        assert self.bus.handler_ids() == ("otel",)

    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def root(self) -> ReadableSpan:
        (root,) = (span for span in self.spans() if span.parent is None)
        return root


def attributes_of(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def seconds_of(span: ReadableSpan) -> tuple[float, float]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time / 1e9 - NOW_S, span.end_time / 1e9 - NOW_S


def test_a_turn_is_a_span_and_its_phases_are_spans_below_it_with_their_measured_times() -> None:
    rig = Rig()
    rig.tell("engine.turn.ended", TURN, SAID)

    root = rig.root()
    phases = [span for span in rig.spans() if span is not root]
    assert seconds_of(root) == (-3.875, 0.0)
    assert {span.name: seconds_of(span) for span in phases} == {
        "queue": (-3.875, -3.625),
        "restore": (-3.625, -3.125),
        "prefill": (-3.125, -3.0),
        "decode": (-3.0, -1.0),
        "save": (-1.0, 0.0),
    }
    assert root.context is not None
    assert {(span.parent.span_id, span.parent.trace_id) for span in phases if span.parent} == {
        (root.context.span_id, root.context.trace_id)
    }


def test_a_turn_has_the_attributes_of_the_conventions() -> None:
    rig = Rig()
    rig.tell("engine.turn.ended", TURN, SAID)

    root = rig.root()
    assert root.name == "text_completion chat"
    assert root.status.status_code is StatusCode.UNSET
    assert attributes_of(root) == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "actorllama",
        "gen_ai.request.model": "chat",
        "gen_ai.response.model": "chat",
        "gen_ai.response.id": "7",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.875,
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 101,
        "gen_ai.usage.cache_read.input_tokens": 600,
        "actorllama.finish_reason": "end",
        "actorllama.exactness": "exact",
        "actorllama.cache_tier": "disk",
        "actorllama.n_steps": 104,
    }


def test_the_names_of_the_attributes_are_those_that_the_conventions_publish() -> None:
    published = importlib.import_module("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    if not hasattr(published, "GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK"):
        pytest.skip("an older edition of the conventions is installed")
    known = {value for name, value in vars(published).items() if name.startswith("GEN_AI_")}
    rig = Rig(log_prompts=True)
    rig.tell("engine.turn.ended", TURN, SAID)

    used = {name for name in attributes_of(rig.root()) if name.startswith("gen_ai.")}
    assert len(used) == 11
    assert used - known == set()


def test_what_was_said_leaves_only_when_asked_for() -> None:
    silent, open_ = Rig(), Rig(log_prompts=True)
    for rig in (silent, open_):
        rig.tell("engine.turn.ended", TURN, SAID)

    assert "secret" not in "".join(span.to_json() for span in silent.spans())
    said = attributes_of(open_.root())
    assert json.loads(str(said["gen_ai.output.messages"])) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "my secret"}], "finish_reason": "stop"}
    ]
    assert said["actorllama.prompt_tokens"] == "[1, 2]"


def test_a_turn_without_a_restore_or_a_save_has_no_such_spans() -> None:
    rig = Rig()
    rig.tell("engine.turn.ended", {**TURN, "restore_s": 0, "save_s": 0, "decode_s": 0}, SAID)

    assert [span.name for span in rig.spans()] == ["queue", "prefill", "text_completion chat"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TurnCancelled(turn_id=7, reason="its caller left"), "TurnCancelled"),
        (DecodeError(code=1, is_retryable=True), "DecodeError"),
        (RequestError(field="prompt", value="my secret", reason="too long"), "RequestError"),
    ],
)
def test_a_turn_that_failed_is_an_error_and_tells_no_secret(error: Exception, kind: str) -> None:
    rig = Rig()
    about = {"model": "chat", "turn_id": 7, "finish_reason": "error", "reason": "x", "error": error}
    rig.tell("engine.turn.failed", {**TURN, "decode_s": 0, "save_s": 0, "n_generated": 0}, about)

    root = rig.root()
    (event,) = root.events
    assert root.status.status_code is StatusCode.ERROR
    assert attributes_of(root)["error.type"] == kind
    assert dict(event.attributes or {})["exception.type"] == kind
    assert "secret" not in root.to_json()
    assert [span.name for span in rig.spans()] == ["queue", "restore", "prefill", "text_completion chat"]
    assert "gen_ai.response.time_to_first_chunk" not in attributes_of(root)


@pytest.mark.parametrize(("reason", "kind"), [("busy", "Busy"), ("unloading", "ModelUnavailable")])
def test_a_turn_that_was_refused_is_an_error_of_no_length(reason: str, kind: str) -> None:
    rig = Rig()
    rig.tell("engine.turn.refused", {}, {"model": "chat", "turn_id": 7, "reason": reason})

    (root,) = rig.spans()
    assert seconds_of(root) == (0.0, 0.0)
    assert attributes_of(root)["error.type"] == kind


@pytest.mark.parametrize(
    ("event", "about", "kind"),
    [
        ("engine.model.failed", {"error": DecodeError(code=-3, is_retryable=False)}, "DecodeError"),
        ("engine.model.unloaded", {}, "ModelUnavailable"),
        ("engine.model.loaded", {}, "ModelUnavailable"),
    ],
)
def test_turns_that_died_with_their_model_are_closed_as_errors(
    event: str, about: dict[str, object], kind: str
) -> None:
    rig = Rig()
    for model, turn_id in (("chat", 1), ("other", 2), ("chat", 3), ("chat", 4)):
        rig.tell("engine.turn.started", {"queue_s": 0.5}, {"model": model, "turn_id": turn_id})
    rig.tell("engine.turn.ended", TURN, {**SAID, "turn_id": 3})
    rig.exporter.clear()
    rig.tell(event, {}, {"model": "chat", **about})
    rig.tell("engine.model.unloaded", {}, {"model": "chat"})

    turns = [span for span in rig.spans() if span.name == "text_completion chat"]
    found = {attributes_of(span)["gen_ai.response.id"]: span for span in turns}
    assert set(found) == {"1", "4"}
    for span in found.values():
        assert attributes_of(span)["error.type"] == kind
        assert seconds_of(span) == (-0.5, 0.0)


def test_open_turns_are_remembered_up_to_a_limit() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    spans = OtelSpans(tracer, is_open=False, open_limit=2)
    started = spans.table["engine", "turn", "started"]
    for turn_id in range(5):
        started({"queue_s": 0.0}, {"model": "chat", "turn_id": turn_id}, 0)
    spans.table["engine", "model", "failed"]({}, {"model": "chat"}, 0)

    ids = [attributes_of(span)["gen_ai.response.id"] for span in exporter.get_finished_spans()]
    assert ids == ["3", "4"]


def test_parents_of_turns_that_never_began_are_forgotten_one_by_one() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    spans = OtelSpans(tracer, is_open=False, open_limit=2)
    with tracer.start_as_current_span("request"):
        for turn_id in range(3):
            about = {"model": "chat", "turn_id": turn_id, "context": copy_context()}
            spans.table["runtime", "turn", "asked"]({}, about, 0)
    for turn_id in range(3):
        about = {"model": "chat", "turn_id": turn_id, "reason": "busy"}
        spans.table["engine", "turn", "refused"]({}, about, 0)

    turns = [span for span in exporter.get_finished_spans() if span.name != "request"]
    assert [span.parent is None for span in turns] == [True, False, False]


def test_loading_is_a_span() -> None:
    rig = Rig()
    rig.tell("engine.model.loaded", {"duration_s": 2.0, "weights_bytes": 9}, {"model": "chat"})
    rig.tell("engine.load.failed", {"duration_s": 1.0}, {"model": "bad", "error": ValueError("secret")})

    loaded, failed = rig.spans()
    assert (loaded.name, seconds_of(loaded)) == ("load chat", (-2.0, 0.0))
    assert (failed.name, seconds_of(failed)) == ("load bad", (-1.0, 0.0))
    assert failed.status.status_code is StatusCode.ERROR
    assert "secret" not in failed.to_json()


def test_a_turn_that_is_not_sampled_costs_no_phases() -> None:
    bus = StrictBus()
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attach_otel(bus, tracer_provider=provider, log_prompts=True)
    bus.execute(DECLARED["engine", "turn", "ended"], TURN, SAID)

    assert bus.flush(timeout_s=60)
    assert bus.handler_ids() == ("otel",)
    assert exporter.get_finished_spans() == ()


def test_each_event_that_is_read_is_declared() -> None:
    tracer = TracerProvider().get_tracer("test")
    assert set(OtelSpans(tracer, is_open=False, open_limit=1).table) <= set(DECLARED)


def test_without_the_library_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ConfigError, match=r"pip install 'actorllama\[otel\]'"):
        attach_otel(Bus())
