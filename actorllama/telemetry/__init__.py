"""How facts travel: the bus, declared events, spans, and the handlers that come with the library.

**What lives here.** `Bus` carries facts; `Event` and `declare_span` declare them; `Span` wraps a block into
start, stop and exception; `attach_structlog` writes log lines and `JsonLinesHandler` a file of all facts;
`attach_prometheus` keeps time series and `attach_otel` makes spans of turns; `MemoryHandler` and `record`
keep facts for tests; `StrictBus` holds emitters to their declarations; `describe_events` writes the
reference. This room knows no particular fact but its own (`EVENTS`): every room declares its events in its
own ``events.py``, named ``(room, thing, verb)``, with units in the measurement keys.

**Who owns it and what always holds.** A bus is an object that is passed around; there is no global one.
Handlers run in the thread that executes the event, at once, in the order of attachment. Those that leave the
process (lines, time series, spans) are attached late: they hear the same facts in the same order within a
fraction of a second, in one thread of their own (`Backlog`), and `Bus.flush` waits for them. A handler that
raises is detached, reported, and harms nobody else. A handler id is unique. A span that was opened is
closed, by a cancellation too. Any thread may execute, attach or detach at any time; the only lock is the
backlog's, held for an append. With no handler, `Bus.execute` costs less than a microsecond.

**What it may import.** `actorllama.errors`, `actorllama.options`, attrs, and late: structlog, which is slow
to import, and the libraries of the extras ``prometheus`` and ``otel``, which may not be there. Not trio:
an event loop is nothing to a fact.

**Why this way, and what we refused.** The semantics are those of BEAM telemetry (beam-telemetry/telemetry
``telemetry.erl``: attach, execute, span, the failing handler). Handlers get the `Event`, not only its name,
so that a handler can know what is private and how loud it is without a table of its own. Names are checked
by `StrictBus` in tests rather than on every call in production. Late handlers were not there from the start:
all four that come with the library took 240 microseconds of the event loop for a turn, three times what they
take in a row, because beside a decoding engine their code is never in the processor's caches; put in a queue
a turn costs 20. For the same reason their thread lets one handler after the other hear all that was told in
a fifth of a second. Time series are plain numbers of our own: with the locks and label tables of
prometheus_client's they took four times as long. More than half of what is left is OpenTelemetry's SDK,
10 microseconds for a span. We refused handlers that wait (coroutines), a thread for each handler (each would
have cold caches of its own), and log calls spread over the code (a log line is one view of a fact, and the
least useful one to a dashboard).
The standard logging module is the last resort for one thing only: a failed handler when nobody listens to
such failures. The handlers know events of other rooms by name, for imports point down; a test holds them to
the declarations.

**Read next.** ``event.py``, then ``bus.py`` and ``backlog.py``; ``span.py`` for how spans end.
"""

from __future__ import annotations

from actorllama.telemetry.bus import Bus, Handler
from actorllama.telemetry.event import Event, EventName, Level, Measurements, Metadata, describe_events
from actorllama.telemetry.events import EVENTS, FACTS_DROPPED, HANDLER_FAILED
from actorllama.telemetry.json_lines_handler import JsonLinesHandler
from actorllama.telemetry.late import LateHandler
from actorllama.telemetry.memory_handler import MemoryHandler, Recorded, record
from actorllama.telemetry.options import TelemetryOptions
from actorllama.telemetry.otel_handler import attach_otel
from actorllama.telemetry.prometheus_handler import attach_prometheus
from actorllama.telemetry.span import Span
from actorllama.telemetry.span_events import SpanEvents, declare_span
from actorllama.telemetry.strict_bus import StrictBus
from actorllama.telemetry.structlog_handler import attach_structlog

__all__ = [
    "EVENTS",
    "FACTS_DROPPED",
    "HANDLER_FAILED",
    "Bus",
    "Event",
    "EventName",
    "Handler",
    "JsonLinesHandler",
    "LateHandler",
    "Level",
    "Measurements",
    "MemoryHandler",
    "Metadata",
    "Recorded",
    "Span",
    "SpanEvents",
    "StrictBus",
    "TelemetryOptions",
    "attach_otel",
    "attach_prometheus",
    "attach_structlog",
    "declare_span",
    "describe_events",
    "record",
]
