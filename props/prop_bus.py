"""The bus calls whom a naive list of handlers would call, whatever is attached, detached or raises."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from actorllama.telemetry import HANDLER_FAILED, Bus, Event, EventName, Measurements, Metadata, declare_span

EVENTS = (
    Event(name=("a", "b", "c"), doc="One."),
    Event(name=("a", "b", "d"), doc="Two."),
    Event(name=("a", "e", "c"), doc="Three."),
    Event(name=("f", "b", "c"), doc="Four."),
)
WORK = declare_span(("a", "work"), doc="work")
IDS = ("one", "two", "three", "four")

prefixes = st.sampled_from([(), ("a",), ("a", "b"), ("a", "b", "c"), ("f",), ("c",), EVENTS[0], EVENTS[3]])
attach = st.tuples(st.just("attach"), st.sampled_from(IDS), st.lists(prefixes, max_size=3), st.booleans())
detach = st.tuples(st.just("detach"), st.sampled_from(IDS), st.just(()), st.just(value=False))
execute = st.tuples(
    st.just("execute"), st.sampled_from(range(len(EVENTS))), st.just(()), st.just(value=False)
)
Step: TypeAlias = tuple[str, str | int, list[EventName | Event] | tuple[()], bool]


def matches(event: Event, prefix: EventName | Event) -> bool:
    wanted = prefix.name if isinstance(prefix, Event) else prefix
    return event.name[: len(wanted)] == wanted


@given(st.lists(st.one_of(attach, detach, execute), max_size=30))
def prop_handlers_are_called_as_a_list_of_them_would_say(steps: list[Step]) -> None:
    """In order of attachment, once per event; one that raises is gone and told of, the rest are called."""
    bus, called, wanted = Bus(), list[tuple[str, str]](), list[tuple[str, str]]()
    model: dict[str, tuple[list[EventName | Event], bool]] = {}
    failures = list[str]()
    bus.attach(
        "watch", HANDLER_FAILED, lambda _e, _n, about, _c: failures.append(str(about["handler_id"])), None
    )
    failed = list[str]()

    def tell(event: Event) -> None:
        for name, entry in list(model.items()):
            wishes, is_failing = entry
            if any(matches(event, wish) for wish in wishes):
                wanted.append((name, str(event)))
                if is_failing and model.get(name) is entry:
                    del model[name]
                    failed.append(name)
                    tell(HANDLER_FAILED)  # who wants every event hears of failures, too, and may fail at that

    for verb, what, asked, is_failing in steps:
        if verb == "attach":
            name, wishes = str(what), list(asked)
            if name in model:
                continue
            bus.attach_many(name, wishes, recorder(name, called, is_failing=is_failing), None)
            model[name] = (wishes, is_failing)
        elif verb == "detach":
            assert bus.detach(str(what)) == (model.pop(str(what), None) is not None)
        else:
            tell(EVENTS[int(what)])
            bus.execute(EVENTS[int(what)])
        assert called == wanted
        assert failures == failed
        assert bus.handler_ids() == ("watch", *model)
        for event in EVENTS:
            is_heard = any(matches(event, wish) for wishes, _ in model.values() for wish in wishes)
            assert bus.is_listening(event) == is_heard


def recorder(
    name: str, called: list[tuple[str, str]], *, is_failing: bool
) -> Callable[[Event, Measurements, Metadata, None], None]:
    def handler(event: Event, _numbers: Measurements, _about: Metadata, _config: None) -> None:
        called.append((name, str(event)))
        if is_failing:
            raise RuntimeError(name)

    return handler


@given(st.lists(st.sampled_from(["ok", "error", "exit"]), max_size=8))
def prop_a_span_that_begins_ends_exactly_once(endings: list[str]) -> None:
    """Nested as deep as it likes, closed inside out, whatever is raised."""
    bus, told = Bus(), list[tuple[str, object]]()
    bus.attach(
        "h", WORK.name, lambda event, _n, about, _c: told.append((event.name[-1], about["span_id"])), None
    )

    def nest(rest: list[str]) -> None:
        if not rest:
            return
        with bus.span(WORK):
            nest(rest[1:])
            if rest[0] != "ok":
                raise KeyError("x") if rest[0] == "error" else SystemExit

    with suppress(KeyError, SystemExit):
        nest(endings)

    n = len(endings)
    assert [(verb, number) for verb, number in told[:n]] == [("start", number + 1) for number in range(n)]
    innermost = next((i for i in reversed(range(n)) if endings[i] != "ok"), -1)
    closings = [("stop" if i > innermost else "exception", i + 1) for i in reversed(range(n))]
    assert told[n:] == closings
