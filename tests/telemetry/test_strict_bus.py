import pytest

from actorllama.telemetry import Event, Metadata, StrictBus, record

STEP = Event(name=("engine", "step", "done"), measurements=("n_tokens",), metadata=("model",), doc="A step.")


def test_a_declared_fact_passes() -> None:
    bus = StrictBus()
    with record(bus) as heard:
        bus.execute(STEP, {"n_tokens": 3}, {"model": "chat"})
        bus.execute(STEP)

    assert heard.names() == ["engine.step.done"] * 2


@pytest.mark.parametrize(
    ("measurements", "metadata", "words"),
    [({"n_bytes": 1}, {}, "measurements.*n_bytes"), ({}, {"turn_id": 1}, "metadata.*turn_id")],
)
def test_an_undeclared_key_is_refused(measurements: dict[str, float], metadata: Metadata, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        StrictBus().execute(STEP, measurements, metadata)


@pytest.mark.parametrize("value", ["3", None, True])
def test_a_measurement_is_a_number(value: float) -> None:
    with pytest.raises(TypeError, match="must be a number"):
        StrictBus().execute(STEP, {"n_tokens": value})


def test_it_claims_to_listen_so_that_facts_are_built_in_tests() -> None:
    assert StrictBus().is_listening(STEP)
