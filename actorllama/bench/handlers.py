"""Every handler that comes with the library, attached at once: what telemetry costs at its dearest."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from actorllama.errors import ConfigError
from actorllama.telemetry import Bus, JsonLinesHandler, attach_otel, attach_prometheus, attach_structlog

__all__ = ["all_handlers"]

_STRUCTLOG, _PROMETHEUS, _OTEL = "bench-structlog", "bench-prometheus", "bench-otel"


@contextmanager
def all_handlers(bus: Bus) -> Generator[tuple[str, ...], None, None]:
    """Attach log lines, a file, time series and spans while the block runs; those whose extra is there.

    Lines go to memory, the file to a temporary directory, spans to a provider that samples all and exports
    none.

    Yields:
        What was attached.
    """
    attached = ["structlog", "json lines"]
    with ExitStack() as stack:
        root = stack.enter_context(TemporaryDirectory(prefix="actorllama-bench-"))
        attach_structlog(bus, stream=io.StringIO(), handler_id=_STRUCTLOG)
        stack.callback(bus.detach, _STRUCTLOG)
        stack.enter_context(JsonLinesHandler(bus, Path(root) / "events.jsonl", handler_id="bench-lines"))
        try:
            attach_prometheus(bus, handler_id=_PROMETHEUS)
        except ConfigError:
            pass  # the extra is not installed: what is attached says so
        else:
            stack.callback(bus.detach, _PROMETHEUS)
            attached.append("prometheus")
        try:
            _attach_spans(bus)
        except (ConfigError, ImportError):
            pass  # as above
        else:
            stack.callback(bus.detach, _OTEL)
            attached.append("opentelemetry")
        yield tuple(attached)


def _attach_spans(bus: Bus) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    attach_otel(bus, tracer_provider=TracerProvider(), handler_id=_OTEL)
