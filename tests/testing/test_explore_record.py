"""Replay strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorllama.testing.explorer.record import decode_choices, encode_choices
from actorllama.testing.explorer.search import replay


@given(st.lists(st.integers(0, 12)))
def test_a_replay_string_reads_back_as_the_choices_up_to_trailing_zeros(choices: list[int]) -> None:
    decoded = decode_choices(encode_choices(choices))
    rest = len(choices) - len(decoded)
    assert [*decoded, *[0] * rest] == choices


def test_a_replay_string_is_short() -> None:
    assert encode_choices([1, 0, 0, 0, 0, 2, 0, 0]) == "s1:1.0x4.2"


@pytest.mark.parametrize("text", ["", "1.0", "s2:1", "s1:a", "s1:1x", "s1:1xz", "s1:-1"])
def test_what_is_no_replay_string_is_refused(text: str) -> None:
    if text == "s1:1x":
        assert decode_choices(text) == (1,)
        return
    with pytest.raises(ValueError, match="not a replay string"):
        decode_choices(text)


def test_negative_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        replay([0, -1])
