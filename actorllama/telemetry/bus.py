"""The bus: facts in, handlers called, nothing in between."""

from __future__ import annotations

import inspect
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias, TypeVar, cast

from attrs import frozen

from actorllama.telemetry.event import Event, EventName, Measurements, Metadata, is_match
from actorllama.telemetry.events import HANDLER_FAILED
from actorllama.telemetry.span import Span
from actorllama.telemetry.span_events import SpanEvents

__all__ = ["NOTHING", "Bus", "Handler"]

C = TypeVar("C")
Handler: TypeAlias = Callable[[Event, Measurements, Metadata, C], None]

NOTHING: Mapping[str, float] = MappingProxyType({})
_LOG = logging.getLogger("actorllama.telemetry")


@frozen(kw_only=True, eq=False)
class _Binding:
    handler_id: str
    prefixes: tuple[EventName | Event, ...]
    handler: Handler[object]
    config: object


class Bus:
    """Carries facts from where they happen to whoever listens.

    A bus is an object that is passed around; there is no global one. Handlers run synchronously, in the
    thread that executes the event, in the order in which they were attached. They must be quick and must
    not wait. One that raises is detached and reported as ``telemetry.handler.failed``; the others still
    run. ``BaseException`` (a cancellation, Ctrl-C) passes through.

    Owner: any thread may call any method. Nothing is locked: every change of ``_bindings`` is one atomic
    dictionary operation *followed by* a fresh ``_matches``, and a reader takes hold of ``_matches``
    *before* it reads ``_bindings``. So a match that is out of date can only be stored in a dictionary
    that nobody looks at any more.
    """

    def __init__(
        self,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        system_s: Callable[[], float] = time.time,
    ) -> None:
        """Make a bus without handlers.

        Args:
            monotonic_s: Clock for durations, in seconds.
            system_s: Wall clock for the start of spans, in seconds since the epoch.
        """
        self.monotonic_s = monotonic_s
        self.system_s = system_s
        self._bindings: dict[str, _Binding] = {}
        self._matches: dict[EventName, tuple[_Binding, ...]] = {}
        self._span_ids = itertools.count(1)

    def __repr__(self) -> str:
        """Name the handlers."""
        return f"<{type(self).__name__} handlers={list(self.handler_ids())}>"

    # -- handlers ------------------------------------------------------------------------------

    def attach(self, handler_id: str, prefix: EventName | Event, handler: Handler[C], config: C) -> None:
        """Call a handler for one event, or for every event whose name begins with a prefix.

        Args:
            handler_id: A name that is free on this bus.
            prefix: An `Event` (exactly that one) or the beginning of names; ``()`` is every event.
            handler: Called as ``handler(event, measurements, metadata, config)``.
            config: Handed to the handler as it is.

        Raises:
            ValueError: The id is taken.
            TypeError: The handler is a coroutine function.
        """
        self.attach_many(handler_id, (prefix,), handler, config)

    def attach_many(
        self, handler_id: str, prefixes: Iterable[EventName | Event], handler: Handler[C], config: C
    ) -> None:
        """Call a handler for several events or prefixes; once per event, however many match it.

        Raises:
            ValueError: The id is taken.
            TypeError: The handler is a coroutine function.
        """
        if inspect.iscoroutinefunction(handler):
            raise TypeError(
                f"handler {handler_id!r} is async; a handler runs inside the event and cannot wait"
            )
        binding = _Binding(
            handler_id=handler_id,
            prefixes=tuple(prefixes),
            handler=cast("Handler[object]", handler),
            config=config,
        )
        if self._bindings.setdefault(handler_id, binding) is not binding:
            raise ValueError(
                f"handler {handler_id!r} is attached already. Detach it first, or choose another id."
            )
        self._matches = {}

    def detach(self, handler_id: str) -> bool:
        """Stop calling a handler; tell whether it was attached (it may have failed before)."""
        found = self._bindings.pop(handler_id, None)
        self._matches = {}
        return found is not None

    def handler_ids(self) -> tuple[str, ...]:
        """List the attached handlers in the order in which they are called."""
        return tuple(self._bindings)

    # -- facts ---------------------------------------------------------------------------------

    def is_listening(self, event: Event) -> bool:
        """Ask whether a fact is worth putting together.

        Cost: one lookup by name.
        """
        return bool(self._handlers_of(event.name))

    def execute(
        self, event: Event, measurements: Measurements = NOTHING, metadata: Metadata = NOTHING
    ) -> None:
        """Tell a fact to every handler that wants it.

        Args:
            event: The declared event.
            measurements: Numbers, by the keys that the event declares.
            metadata: Identities, by the keys that the event declares.

        Cost: below a microsecond when nobody listens.
        """
        for binding in self._handlers_of(event.name):
            try:
                binding.handler(event, measurements, metadata, binding.config)
            except Exception as error:  # noqa: BLE001 - the bus is one of the two places that may (style.md 2.7)
                self._fail(binding, event, error)

    def span(self, events: SpanEvents, metadata: Metadata = NOTHING) -> Span:
        """Open a span around a block, awaits included: start, then stop or exception.

        Example::

            with bus.span(TURN, {"model": "chat"}) as span:
                ...
                span.measure(n_tokens=12)
                span.note(finish_reason="stop")

        The closing event is always executed, also when the block is cancelled (``kind="cancelled"``).
        All events of the span share a ``span_id`` that is unique on this bus.
        """
        return Span(self, events, metadata, next(self._span_ids))

    def fail(self, handler_id: str, event: Event, error: Exception) -> bool:
        """Detach a handler that cannot go on and report it, as if it had raised.

        For handlers that do their work behind the event's back, in a thread of their own.

        Args:
            handler_id: Which.
            event: The last fact that it was told.
            error: What stopped it.

        Returns:
            Whether it was still attached; if not, nothing is reported.
        """
        was_attached = self.detach(handler_id)
        if was_attached:
            self._report(handler_id, event, error)
        return was_attached

    # -- inside --------------------------------------------------------------------------------

    def _handlers_of(self, name: EventName) -> tuple[_Binding, ...]:
        matches = self._matches  # before _bindings: see the class docstring
        found = matches.get(name)
        if found is None:
            bindings = tuple(self._bindings.values())
            found = matches[name] = tuple(
                binding for binding in bindings if any(is_match(name, prefix) for prefix in binding.prefixes)
            )
        return found

    def _fail(self, binding: _Binding, event: Event, error: Exception) -> None:
        if self._bindings.get(binding.handler_id) is not binding:
            return  # another thread met the same failure first, or the handler detached itself
        self.fail(binding.handler_id, event, error)

    def _report(self, handler_id: str, event: Event, error: Exception) -> None:
        if not self.is_listening(HANDLER_FAILED):
            _LOG.error("handler %r failed on %s and was detached", handler_id, event, exc_info=error)
            return
        self.execute(
            HANDLER_FAILED,
            {"n_handlers": len(self._bindings)},
            {"handler_id": handler_id, "failed_event": str(event), "error": error},
        )
