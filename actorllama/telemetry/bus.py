"""The bus: facts in, handlers called, nothing in between."""

from __future__ import annotations

import inspect
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import TypeAlias, TypeVar, cast

from attrs import frozen

from actorllama.telemetry.backlog import Backlog
from actorllama.telemetry.event import RANK, Event, EventName, Level, Measurements, Metadata, is_match
from actorllama.telemetry.events import FACTS_DROPPED, HANDLER_FAILED
from actorllama.telemetry.late import LateBinding, LateFact, LateHandler
from actorllama.telemetry.span import Span
from actorllama.telemetry.span_events import SpanEvents

__all__ = ["NOTHING", "Bus", "Handler"]

C = TypeVar("C")
Handler: TypeAlias = Callable[[Event, Measurements, Metadata, C], None]

NOTHING: Mapping[str, float] = MappingProxyType({})
_LOG = logging.getLogger("actorllama.telemetry")
_LOUD = frozenset({"warning", "error"})  # not delayed: the process may be about to end


@frozen(kw_only=True, eq=False)
class _Binding:
    handler_id: str
    prefixes: tuple[EventName | Event, ...]
    handler: Handler[object]
    config: object
    least_rank: int = 0


_Bindings: TypeAlias = tuple[tuple[_Binding, ...], tuple[LateBinding, ...]]


class Bus:
    """Carries facts from where they happen to whoever listens.

    A bus is an object that is passed around; there is no global one. Handlers run synchronously, in the
    thread that executes the event, in the order in which they were attached. They must be quick and must
    not wait. One that raises is detached and reported as ``telemetry.handler.failed``; the others still
    run. ``BaseException`` (a cancellation, Ctrl-C) passes through.

    A handler that needs more time is attached late (`attach_late`): it hears the same facts in the same
    order, a fraction of a second later, in a thread that all late handlers share.

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
        self._bindings: dict[str, _Binding | LateBinding] = {}
        self._matches: dict[EventName, _Bindings] = {}
        self._span_ids = itertools.count(1)
        self._failed: set[LateBinding] = set()  # the late thread's own
        self._backlog = Backlog(self._work, self._tell_dropped)

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
        self._bind(binding)

    def attach_late(
        self,
        handler_id: str,
        prefixes: Iterable[EventName | Event],
        handler: LateHandler,
        *,
        level: Level = "debug",
    ) -> None:
        """Call a handler for several events or prefixes, a little later and in another thread.

        For handlers that leave the process: whoever tells a fact only puts it in a queue. That queue is
        bounded; facts that find no room are dropped, counted and told as ``telemetry.facts.dropped``.

        Args:
            handler_id: A name that is free on this bus.
            prefixes: As of `attach`.
            handler: Called as ``handler(event, measurements, metadata, at_s)``, one fact after the other.
            level: Quietest level that it is called for; quieter events cost nothing.

        Raises:
            ValueError: The id is taken.
        """
        self._bind(
            LateBinding(
                handler_id=handler_id, prefixes=tuple(prefixes), handler=handler, least_rank=RANK[level]
            )
        )

    def flush(self, *, timeout_s: float = 5.0) -> bool:
        """Wait until late handlers have heard what was told before; tell whether they have.

        Blocks. Where no late handler has heard anything for a second, it returns at once.
        """
        return self._backlog.flush(timeout_s)

    def detach(self, handler_id: str) -> bool:
        """Stop calling a handler; tell whether it was attached (it may have failed before).

        A late one still hears what was told before.
        """
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
        now, late = self._handlers_of(event)
        return bool(now or late)

    def execute(
        self, event: Event, measurements: Measurements = NOTHING, metadata: Metadata = NOTHING
    ) -> None:
        """Tell a fact to every handler that wants it.

        Args:
            event: The declared event.
            measurements: Numbers, by the keys that the event declares.
            metadata: Identities, by the keys that the event declares.

        Neither mapping may be changed afterwards: handlers keep them.

        Cost: below a microsecond when nobody listens; some microseconds more for all late handlers together.
        """
        now, late = self._handlers_of(event)
        if late:
            fact = (event, measurements, metadata, self.system_s(), late)
            self._backlog.offer(fact, is_urgent=event.level in _LOUD)
        for binding in now:
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

    def _bind(self, binding: _Binding | LateBinding) -> None:
        if self._bindings.setdefault(binding.handler_id, binding) is not binding:
            raise ValueError(
                f"handler {binding.handler_id!r} is attached already. Detach it first, or choose another id."
            )
        self._matches = {}

    def _handlers_of(self, event: Event) -> _Bindings:
        matches = self._matches  # before _bindings: see the class docstring
        found = matches.get(event.name)
        if found is None:
            rank = RANK[event.level]
            bound = [
                binding
                for binding in tuple(self._bindings.values())
                if rank >= binding.least_rank and any(is_match(event.name, each) for each in binding.prefixes)
            ]
            found = matches[event.name] = (
                tuple(each for each in bound if isinstance(each, _Binding)),
                tuple(each for each in bound if isinstance(each, LateBinding)),
            )
        return found

    def _work(self, facts: Sequence[LateFact]) -> Iterator[None]:
        # Handler after handler, and not fact after fact: the code of one stays in the processor's caches.
        audiences = dict.fromkeys(fact[-1] for fact in facts)  # few, and each many times the same tuple
        for binding in dict.fromkeys(chain.from_iterable(audiences)):
            if binding in self._failed:
                continue
            for event, measurements, metadata, at_s, bindings in facts:
                if binding in bindings:
                    try:
                        binding.handler(event, measurements, metadata, at_s)
                    except Exception as error:  # noqa: BLE001 - as in `execute`
                        self._failed.add(binding)
                        self._fail(binding, event, error)
                        break
                    yield

    def _tell_dropped(self, n_facts: int) -> None:
        self.execute(FACTS_DROPPED, {"n_facts": n_facts})

    def _fail(self, binding: _Binding | LateBinding, event: Event, error: Exception) -> None:
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
