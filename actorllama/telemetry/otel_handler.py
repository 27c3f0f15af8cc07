"""Sends spans of turns to OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorllama.telemetry.bus import Bus
from actorllama.telemetry.extras import need_extra

if TYPE_CHECKING:  # an extra: it may not be installed
    from opentelemetry.trace import TracerProvider

__all__ = ["attach_otel"]

_OPEN_LIMIT = 16_384


def attach_otel(
    bus: Bus,
    *,
    tracer_provider: TracerProvider | None = None,
    log_prompts: bool = False,
    handler_id: str = "otel",
) -> None:
    """Make OpenTelemetry spans of a bus's turns and loads.

    ::

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        attach_otel(bus, tracer_provider=provider)

    One span for each turn, with the attributes of the semantic conventions for generative AI (model,
    tokens in and out, tokens read from the cache, finish reasons), and below it ``queue``, ``restore``,
    ``prefill``, ``decode`` and ``save`` with their measured times. A turn that failed, was cancelled or
    refused has ``error.type`` and the status of an error. Who asks for a turn inside a span of its own has
    the turn's span below that, from asyncio and other threads too; all others are roots.

    Spans are made in a thread (`Bus.attach_late`): call `Bus.flush` before the provider's ``force_flush``.

    Args:
        bus: Where to listen.
        tracer_provider: Makes and exports the spans; OpenTelemetry's global one where ``None``. Give it a
            processor that exports in a thread of its own.
        log_prompts: Whether spans carry what models say (``gen_ai.output.messages``) and prompts' token ids.
        handler_id: The name of the handler on the bus, for `Bus.detach`.

    Raises:
        ConfigError: opentelemetry-api is not installed; the message has the command.
        ValueError: ``handler_id`` is taken.
    """
    need_extra("otel", "opentelemetry.trace")
    from opentelemetry.trace import get_tracer

    from actorllama.telemetry.otel_spans import OtelSpans

    spans = OtelSpans(
        get_tracer("actorllama", tracer_provider=tracer_provider),
        is_open=log_prompts,
        open_limit=_OPEN_LIMIT,
    )
    bus.attach_late(handler_id, spans.table, spans)
