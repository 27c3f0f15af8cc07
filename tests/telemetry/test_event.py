import pytest

from actorllama.telemetry import Event, declare_span, describe_events

STOP = Event(
    name=("engine", "turn", "stop"),
    measurements=("duration_s", "n_tokens"),
    metadata=("turn_id", "text"),
    private=("text",),
    doc="An end | well.",
)


def test_an_event_reads_as_its_dotted_name() -> None:
    assert str(STOP) == "engine.turn.stop"


@pytest.mark.parametrize(
    "name",
    [
        (),
        ("engine",),
        ("engine", "turn"),
        ("Engine", "turn", "stop"),
        ("engine", "", "stop"),
        ("a", "b", "c d"),
    ],
)
def test_a_name_is_room_thing_verb(name: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="room, thing, verb"):
        Event(name=name, doc="Happens.")


@pytest.mark.parametrize("key", ["duration", "tokens", "bytes", "seconds", "s", "n_"])
def test_a_measurement_without_its_unit_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="does not carry its unit"):
        Event(name=("a", "b", "c"), measurements=(key,), doc="Happens.")


@pytest.mark.parametrize(
    "key", ["duration_s", "gap_ms", "n_tokens", "saved_bytes", "hit_ratio", "rate_per_s"]
)
def test_a_measurement_carries_its_unit(key: str) -> None:
    assert Event(name=("a", "b", "c"), measurements=(key,), doc="Happens.").measurements == (key,)


def test_a_key_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        Event(name=("a", "b", "c"), measurements=("n_x",), metadata=("n_x",), doc="Happens.")


def test_private_keys_are_metadata_keys() -> None:
    with pytest.raises(ValueError, match="must be metadata keys"):
        Event(name=("a", "b", "c"), private=("secret",), doc="Happens.")


@pytest.mark.parametrize("key", ["prompt", "completion", "text", "messages", "piece", "content"])
def test_what_a_user_says_cannot_be_declared_as_public(key: str) -> None:
    with pytest.raises(ValueError, match="declare them private"):
        Event(name=("a", "b", "c"), metadata=(key,), doc="Happens.")


def test_a_span_declares_start_stop_and_exception() -> None:
    turn = declare_span(
        ("engine", "turn"),
        doc="a turn",
        measurements=("n_tokens",),
        metadata=("model", "prompt"),
        result=("text",),
        private=("prompt", "text"),
    )

    assert [str(event) for event in turn] == [
        "engine.turn.start",
        "engine.turn.stop",
        "engine.turn.exception",
    ]
    assert turn.start.private == ("prompt",)
    assert turn.stop.measurements == ("duration_s", "monotonic_time_s", "n_tokens")
    assert turn.stop.metadata == ("model", "prompt", "span_id", "text")
    assert turn.exception.metadata == ("model", "prompt", "span_id", "text", "kind", "error")


def test_the_reference_is_a_table_sorted_by_name() -> None:
    first = Event(name=("cache", "entry", "evicted"), measurements=("freed_bytes",), doc="An entry went.")

    assert describe_events([STOP, first, STOP]) == (
        "| event | measurements | metadata | when |\n"
        "|---|---|---|---|\n"
        "| `cache.entry.evicted` | `freed_bytes` |  | An entry went. |\n"
        "| `engine.turn.stop` | `duration_s`, `n_tokens` | `turn_id`, `text` (private) | An end \\| well. |\n"
    )


def test_one_name_cannot_mean_two_things_in_the_reference() -> None:
    other = Event(name=STOP.name, doc="Something else.")
    with pytest.raises(ValueError, match="declared twice, differently"):
        describe_events([STOP, other])
