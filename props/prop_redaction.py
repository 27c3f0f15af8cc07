"""What leaves the process is JSON, and has no user's word in it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from actorllama.errors import RequestError
from actorllama.telemetry import Event
from actorllama.telemetry.line_buffer import LineBuffer
from actorllama.telemetry.redaction import plain_measurements, plain_metadata

SECRET = "hunter2"
EVENT = Event(
    name=("a", "b", "c"),
    metadata=("who", "prompt", "text", "error"),
    private=("prompt", "text"),
    doc="A fact.",
)

words = st.text(max_size=20)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), words, st.binary(max_size=8), st.sets(st.integers())
)
values = st.one_of(plain, st.lists(plain, max_size=4), st.tuples(plain, st.lists(plain, max_size=2)))
secrets = st.one_of(
    words.map(lambda text: text + SECRET),
    st.lists(words.map(lambda text: SECRET + text), max_size=3),
    st.dictionaries(words, st.just(SECRET), max_size=2),
    st.just(SECRET.encode()),
)
errors = st.sampled_from(
    [ValueError(SECRET), RequestError(field="prompt", value=SECRET, reason="is bad"), KeyError(SECRET)]
)


@given(values, st.dictionaries(words, st.floats()), st.booleans())
def prop_any_fact_becomes_json_that_every_parser_takes(
    value: object, numbers: dict[str, float], is_open: bool
) -> None:
    """Also numbers that JSON lacks, bytes, sets, and text with half a character."""
    told = {
        "metadata": plain_metadata(EVENT, {"who": value}, is_open=is_open),
        "n": plain_measurements(numbers),
    }

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(json.dumps(told, allow_nan=False), parse_constant=refuse)["metadata"].keys() == {"who"}


@given(secrets, secrets, errors)
def prop_no_word_of_a_user_is_told_unless_asked_for(prompt: object, text: object, error: Exception) -> None:
    told = plain_metadata(EVENT, {"prompt": prompt, "text": text, "error": error}, is_open=False)
    assert SECRET not in json.dumps(told)


@given(
    st.lists(st.integers(min_value=1, max_value=40), max_size=40), st.integers(min_value=20, max_value=200)
)
def prop_lines_come_out_in_order_within_the_bound_and_gaps_are_what_was_dropped(
    sizes: list[int], limit_bytes: int
) -> None:
    buffer = LineBuffer(limit_bytes)
    for size in sizes:
        buffer.offer(b"x" * size + b"}")
    held_bytes = buffer.qsize()
    buffer.end()
    buffer.offer(b"}")
    lines, is_going_on = buffer.take_all()

    numbers = [int(line.partition(b":")[2].partition(b",")[0]) for line in lines]
    assert held_bytes == sum(map(len, lines)) <= limit_bytes
    assert numbers == sorted(set(numbers))
    assert (buffer.n_offered, buffer.n_dropped) == (len(sizes), len(sizes) - len(lines))
    assert not is_going_on
