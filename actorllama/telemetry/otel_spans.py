"""Makes OpenTelemetry spans from what the rooms tell, after the semantic conventions for generative AI."""

from __future__ import annotations

import contextvars
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeAlias

from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from actorllama.telemetry.event import Event, EventName, Measurements, Metadata
from actorllama.telemetry.redaction import tell_error

__all__ = ["OtelSpans"]

_TurnKey: TypeAlias = tuple[object, object]
_Reader: TypeAlias = Callable[[Measurements, Metadata, int], None]

_OPERATION = "text_completion"  # a chat is rendered to text before the engine hears of it
_PHASES = ("queue", "restore", "prefill", "decode", "save")
_NS = 1_000_000_000
_NOBODY = Context()
_ALWAYS = frozenset({"queue", "prefill"})
_FINISH_REASONS: Mapping[object, str] = {
    "end": "stop",
    "stop": "stop",
    "length": "length",
    "context": "length",
}


class OtelSpans:
    """Spans of turns with their phases, and of loading.

    A turn's span is made when the turn is over, from the seconds that the engine measured: each phase is
    exactly as long as it was, and the whole ends when its end was told. A turn that nobody tells the end
    of (its model crashed) is closed as an error when the model's failure, end or reload is told. Where the
    caller was in a span when it asked, the turn's span is below that.

    Owner: the bus that it is attached to. Turns are told by their model's actor alone; the table of open
    turns is changed by single operations on a dictionary.
    """

    def __init__(self, tracer: Tracer, *, is_open: bool, open_limit: int) -> None:
        """Make spans with ``tracer``.

        Args:
            tracer: Of a provider that the user configured.
            is_open: Whether to tell users' and models' words.
            open_limit: Turns at most that are remembered while they wait, and while they run.
        """
        self._tracer = tracer
        self._is_open = is_open
        self._open_limit = open_limit
        self._began_ns: OrderedDict[_TurnKey, int] = OrderedDict()
        self._parents: OrderedDict[_TurnKey, Context] = OrderedDict()
        self.table: Mapping[EventName, _Reader] = {
            ("runtime", "turn", "asked"): self._asked,
            ("engine", "turn", "started"): self._started,
            ("engine", "turn", "ended"): self._ended,
            ("engine", "turn", "failed"): self._failed,
            ("engine", "turn", "refused"): self._refused,
            ("engine", "model", "loaded"): self._loaded,
            ("engine", "model", "failed"): self._model_gone,
            ("engine", "model", "unloaded"): self._model_gone,
            ("engine", "load", "failed"): self._load_failed,
        }

    def __call__(self, event: Event, measurements: Measurements, metadata: Metadata, at_s: float) -> None:
        """Read one fact, told at ``at_s`` seconds since the epoch.

        Cost: that of the SDK, some 10 microseconds for each span; a turn has four to six.
        """
        self.table[event.name](measurements, metadata, _ns(at_s))

    # -- turns -------------------------------------------------------------------------------------

    def _asked(self, _numbers: Measurements, about: Metadata, _now_ns: int) -> None:
        context = about["context"]
        assert isinstance(context, contextvars.Context)
        parent = context.run(get_current)
        if parent and get_current_span(parent).get_span_context().is_valid:
            # Some never become turns: their callers left while they waited.
            if len(self._parents) >= self._open_limit:
                self._parents.popitem(last=False)
            self._parents[about["model"], about["turn_id"]] = parent

    def _started(self, numbers: Measurements, about: Metadata, now_ns: int) -> None:
        if len(self._began_ns) >= self._open_limit:
            self._began_ns.popitem(last=False)
        self._began_ns[about["model"], about["turn_id"]] = now_ns - _ns(numbers["queue_s"])

    def _ended(self, numbers: Measurements, about: Metadata, now_ns: int) -> None:
        reason = about["finish_reason"]
        word = _FINISH_REASONS.get(reason, str(reason))
        more: Mapping[str, AttributeValue] = {"gen_ai.response.finish_reasons": (word,)}
        if self._is_open:
            more = {**more, **_words(about, word)}
        self._turn(numbers, about, now_ns, more).end(now_ns)

    def _failed(self, numbers: Measurements, about: Metadata, now_ns: int) -> None:
        span = self._turn(numbers, about, now_ns, {})
        _mark(span, about["error"], now_ns, is_open=self._is_open)
        span.end(now_ns)

    def _refused(self, _numbers: Measurements, about: Metadata, now_ns: int) -> None:
        span = self._root(about, now_ns, {})
        _mark(span, "Busy" if about["reason"] == "busy" else "ModelUnavailable", now_ns, is_open=True)
        span.end(now_ns)

    def _turn(
        self, numbers: Measurements, about: Metadata, now_ns: int, more: Mapping[str, AttributeValue]
    ) -> Span:
        """Make a turn's span and those of its phases, one after the other; the turn's own is not ended."""
        self._began_ns.pop((about["model"], about["turn_id"]), None)
        phases = [(phase, _ns(numbers[f"{phase}_s"])) for phase in _PHASES]
        at_ns = now_ns - sum(length_ns for _, length_ns in phases)
        # All at once: the SDK locks and copies for each attribute that comes later, and a sampler sees none.
        span = self._root(about, at_ns, {**_usage(numbers), **_facts(about), **more})
        if not span.is_recording():  # not sampled, and neither are its phases
            return span
        context = set_span_in_context(span, _NOBODY)
        for phase, length_ns in phases:
            if length_ns > 0 or phase in _ALWAYS:
                self._tracer.start_span(phase, context, start_time=at_ns).end(at_ns + length_ns)
            at_ns += length_ns
        return span

    def _root(self, about: Metadata, began_ns: int, more: Mapping[str, AttributeValue]) -> Span:
        model = str(about["model"])
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": _OPERATION,
            "gen_ai.provider.name": "actorllama",
            "gen_ai.request.model": model,
            "gen_ai.response.id": str(about["turn_id"]),
            **more,
        }
        parent = self._parents.pop((about["model"], about["turn_id"]), _NOBODY)
        return self._tracer.start_span(
            f"{_OPERATION} {model}", parent, SpanKind.INTERNAL, attributes, start_time=began_ns
        )

    # -- models ------------------------------------------------------------------------------------

    def _loaded(self, numbers: Measurements, about: Metadata, now_ns: int) -> None:
        self._close_turns(about, now_ns)  # of the actor before, if it was killed without a word
        span = self._load(numbers, about, now_ns)
        span.set_attribute("actorllama.weights_bytes", numbers["weights_bytes"])
        span.end(now_ns)

    def _load_failed(self, numbers: Measurements, about: Metadata, now_ns: int) -> None:
        span = self._load(numbers, about, now_ns)
        _mark(span, about["error"], now_ns, is_open=self._is_open)
        span.end(now_ns)

    def _load(self, numbers: Measurements, about: Metadata, now_ns: int) -> Span:
        model = str(about["model"])
        attributes = {"gen_ai.request.model": model}
        began_ns = now_ns - _ns(numbers["duration_s"])
        return self._tracer.start_span(
            f"load {model}", _NOBODY, SpanKind.INTERNAL, attributes, start_time=began_ns
        )

    def _model_gone(self, _numbers: Measurements, about: Metadata, now_ns: int) -> None:
        self._close_turns(about, now_ns, about.get("error"))

    def _close_turns(self, about: Metadata, now_ns: int, error: object = None) -> None:
        """Close the turns of a model whose ends nobody will tell."""
        for key, began_ns in list(self._began_ns.items()):
            if key[0] == about["model"] and self._began_ns.pop(key, None) is not None:
                span = self._root({"model": key[0], "turn_id": key[1]}, began_ns, {})
                _mark(span, error or "ModelUnavailable", now_ns, is_open=self._is_open)
                span.end(now_ns)


def _ns(seconds: float) -> int:
    return max(0, round(seconds * _NS))


def _usage(numbers: Measurements) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        "gen_ai.usage.input_tokens": int(numbers["n_prompt"]),
        "gen_ai.usage.output_tokens": int(numbers["n_generated"]),
        "gen_ai.usage.cache_read.input_tokens": int(numbers["n_cached"]),
        "actorllama.n_steps": int(numbers["n_steps"]),
    }
    if numbers["n_generated"] > 0:
        first_token_s = numbers["queue_s"] + numbers["restore_s"] + numbers["prefill_s"]
        found["gen_ai.response.time_to_first_chunk"] = first_token_s
    return found


def _facts(about: Metadata) -> dict[str, AttributeValue]:
    facts = {f"actorllama.{key}": about.get(key) for key in ("finish_reason", "exactness", "cache_tier")}
    told: dict[str, AttributeValue] = {key: str(value) for key, value in facts.items() if value is not None}
    return {"gen_ai.response.model": str(about["model"]), **told}


def _words(about: Metadata, finish_reason: str) -> dict[str, AttributeValue]:
    """Tell what was said, for those who asked; the engine knows prompts as token ids only."""
    part = {"type": "text", "content": str(about["text"])}
    reply = {"role": "assistant", "parts": [part], "finish_reason": finish_reason}
    return {
        "gen_ai.output.messages": json.dumps([reply]),
        "actorllama.prompt_tokens": json.dumps(about["prompt"]),
    }


def _mark(span: Span, error: object, now_ns: int, *, is_open: bool) -> None:
    """Record an error: an exception, or the name of one."""
    if isinstance(error, BaseException):
        kind, words = type(error).__name__, tell_error(error, is_open=is_open)
    else:
        kind = words = str(error)
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, words))
    span.add_event("exception", {"exception.type": kind, "exception.message": words}, now_ns)
