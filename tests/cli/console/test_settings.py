"""What ``/set`` takes and refuses."""

import pytest

from actorllama.cli.console.settings import SETTINGS, described, parse_setting, sampling_of
from actorllama.cli.console.talk import Setting
from actorllama.errors import RequestError


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("temperature 0.7", ("temperature", 0.7)),
        ("temperature=1", ("temperature", 1.0)),
        ("seed 7", ("seed", 7)),
        ("max_tokens  64", ("max_tokens", 64)),
    ],
)
def test_a_setting_is_a_name_and_a_number(text: str, setting: tuple[str, Setting]) -> None:
    assert parse_setting(text) == setting


@pytest.mark.parametrize(
    "text",
    [
        "temprature 1",
        "temperature",
        "temperature hot",
        "temperature -1",
        "temperature nan",
        "seed 0.5",
        "max_tokens 0",
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(RequestError):
        parse_setting(text)


def test_the_sampler_gets_all_but_the_length() -> None:
    assert sampling_of({"max_tokens": 8, "top_k": 3}) == {"top_k": 3}


def test_what_was_set_is_marked() -> None:
    rows = dict(described({"top_k": 3}))
    assert rows["top_k"] == f"3 (default {SETTINGS['top_k']})"
    assert rows["seed"] == "0"
