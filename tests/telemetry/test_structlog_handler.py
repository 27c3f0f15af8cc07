import io
import json

import pytest
from attrs import frozen

from actorllama.errors import ModelLoadError, RequestError
from actorllama.telemetry import (
    HANDLER_FAILED,
    Bus,
    Event,
    TelemetryOptions,
    attach_structlog,
    declare_span,
    record,
)
from actorllama.telemetry.event import Level

TURN = declare_span(
    ("engine", "turn"),
    doc="a turn",
    measurements=("n_tokens",),
    metadata=("model", "prompt", "messages"),
    result=("text", "payload", "event"),
    private=("prompt", "messages", "text"),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(bus: Bus, stream: io.StringIO) -> list[dict[str, object]]:
    assert bus.flush(timeout_s=60)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_stream_that_is_no_terminal_gets_json() -> None:
    bus, out = Bus(monotonic_s=lambda: 5.0), io.StringIO()
    attach_structlog(bus, stream=out)
    with bus.span(TURN, {"model": "chat"}) as span:
        span.measure(n_tokens=7)

    (line,) = lines_of(bus, out)
    assert line.pop("timestamp")
    assert line == {
        "event": "engine.turn.stop",
        "level": "info",
        "model": "chat",
        "span_id": 1,
        "duration_s": 0.0,
        "monotonic_time_s": 5.0,
        "n_tokens": 7,
    }


def test_a_terminal_gets_a_line_for_people() -> None:
    bus, out = Bus(), Terminal()
    attach_structlog(bus, stream=out)
    bus.execute(TURN.stop, {"n_tokens": 7, "monotonic_time_s": 1.0}, {"model": "chat"})

    assert bus.flush(timeout_s=60)
    assert "engine.turn.stop" in out.getvalue()
    assert "n_tokens" in out.getvalue()
    assert "monotonic_time_s" not in out.getvalue()


@pytest.mark.parametrize(("log_format", "stream"), [("json", Terminal()), ("human", io.StringIO())])
def test_the_form_can_be_chosen(log_format: str, stream: io.StringIO) -> None:
    bus = Bus()
    options = (
        TelemetryOptions(log_format="json") if log_format == "json" else TelemetryOptions(log_format="human")
    )
    attach_structlog(bus, options, stream=stream)
    bus.execute(TURN.stop, {}, {"model": "chat"})

    assert bus.flush(timeout_s=60)
    assert stream.getvalue().startswith("{") == (log_format == "json")


def test_what_users_and_models_say_is_left_out() -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, stream=out)
    metadata = {"prompt": "my secret", "messages": ["secret", "secret"], "text": None, "payload": b"secret"}
    bus.execute(TURN.stop, {}, metadata)

    (line,) = lines_of(bus, out)
    assert "secret" not in out.getvalue()
    assert (line["prompt"], line["messages"]) == ("<9 characters>", "<2 items>")
    assert (line["text"], line["payload"]) == ("<hidden>", "<6 bytes>")


def test_what_users_and_models_say_is_logged_when_asked_for() -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, TelemetryOptions(log_prompts=True), stream=out)
    bus.execute(TURN.stop, {}, {"prompt": "my secret", "text": "aha"})
    bus.execute(TURN.exception, {}, {"error": ValueError("about the secret")})

    first, second = lines_of(bus, out)
    assert (first["prompt"], first["text"]) == ("my secret", "aha")
    assert second["error"] == "ValueError: about the secret"


def raised(error: Exception) -> Exception:
    """Give an error a place in the code."""
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - any error is the point here
        return caught


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelLoadError(path="/m.gguf", reason="truncated"), "ModelLoadError: "),
        (RequestError(field="prompt", value="my secret", reason="too long"), "RequestError at "),
        (ValueError("my secret"), "ValueError at "),
    ],
)
def test_an_error_that_may_quote_a_user_is_told_by_kind_and_place(error: Exception, expected: str) -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, stream=out)
    bus.execute(TURN.exception, {}, {"error": raised(error)})

    (line,) = lines_of(bus, out)
    assert str(line["error"]).startswith(expected)
    assert "secret" not in out.getvalue()


def test_an_error_that_was_never_raised_is_told_by_kind() -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, stream=out)
    bus.execute(TURN.exception, {}, {"error": ValueError("x")})

    assert lines_of(bus, out)[0]["error"] == "ValueError"


def test_values_that_json_does_not_know_become_words_and_taken_keys_step_aside() -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, stream=out)
    bus.execute(TURN.stop, {}, {"event": TURN.start, "payload": ("a", 1, TURN.stop)})

    (line,) = lines_of(bus, out)
    assert line["event"] == "engine.turn.stop"
    assert line["event_"] == "engine.turn.start"
    assert line["payload"] == ["a", 1, "engine.turn.stop"]


@frozen(kw_only=True)
class Message:
    prompt: str


@pytest.mark.parametrize(
    ("is_open", "expected"), [(False, "<Message>"), (True, "Message(prompt='my secret')")]
)
def test_an_object_without_words_of_its_own_is_told_by_its_type(is_open: bool, expected: str) -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, TelemetryOptions(log_prompts=is_open), stream=out)
    bus.execute(TURN.stop, {}, {"payload": Message(prompt="my secret")})

    assert lines_of(bus, out)[0]["payload"] == expected


@pytest.mark.parametrize(("log_level", "expected"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_quieter_levels_are_not_logged(log_level: Level, expected: int) -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, TelemetryOptions(log_level=log_level), stream=out)
    for event in (TURN.start, TURN.stop, TURN.exception, HANDLER_FAILED):
        bus.execute(event)

    assert len(lines_of(bus, out)) == expected


def test_a_stream_that_fails_costs_the_handler_not_the_program() -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, stream=out)
    out.close()
    with record(bus, HANDLER_FAILED) as heard:
        bus.execute(TURN.stop)
        assert bus.flush(timeout_s=60)

    assert [fact.metadata["handler_id"] for fact in heard.facts] == ["structlog"]


def test_only_the_chosen_events_are_logged() -> None:
    bus, out = Bus(), io.StringIO()
    attach_structlog(bus, stream=out, prefix=("cache",))
    bus.execute(TURN.stop)
    bus.execute(Event(name=("cache", "entry", "evicted"), doc="Gone."))

    assert [line["event"] for line in lines_of(bus, out)] == ["cache.entry.evicted"]


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    bus = Bus()
    attach_structlog(bus)
    bus.execute(TURN.stop)

    assert bus.flush(timeout_s=60)
    assert "engine.turn.stop" in capsys.readouterr().err
