from actorllama.telemetry import Bus, Event, record

STEP = Event(name=("engine", "step", "done"), measurements=("n_tokens",), doc="A step.")
STOP = Event(name=("engine", "turn", "stop"), doc="A turn ended.")


def test_facts_are_copied_so_that_a_reused_dictionary_does_not_change_them() -> None:
    bus = Bus()
    measurements = {"n_tokens": 1.0}
    with record(bus) as heard:
        bus.execute(STEP, measurements)
        measurements["n_tokens"] = 2.0

    assert heard.facts[0].measurements == {"n_tokens": 1.0}


def test_facts_can_be_selected_by_event_and_by_prefix() -> None:
    bus = Bus()
    with record(bus) as heard:
        bus.execute(STEP)
        bus.execute(STOP)

    assert [fact.event for fact in heard.of(STOP)] == [STOP]
    assert [fact.event for fact in heard.of(("engine", "step"))] == [STEP]
    assert heard.names() == ["engine.step.done", "engine.turn.stop"]


def test_recording_ends_with_the_block_and_may_be_nested() -> None:
    bus = Bus()
    with record(bus) as outer:
        with record(bus, STOP) as inner:
            bus.execute(STOP)
        bus.execute(STOP)
    bus.execute(STOP)

    assert (len(outer.facts), len(inner.facts)) == (2, 1)
    assert bus.handler_ids() == ()
