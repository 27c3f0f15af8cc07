"""While a runtime is open, threads hand the interpreter over sooner; afterwards all is as it was."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from actorllama.config import Config
from actorllama.engine import EngineOptions
from actorllama.runtime import open_runtime
from actorllama.runtime.switch_interval import short_switch_interval
from actorllama.testing.fake_backend import FakeBackend

LONG_S, SHORT_S = 0.004, 0.0002


@pytest.fixture(autouse=True)
def _interval_of_the_program() -> Generator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(LONG_S)
    yield
    sys.setswitchinterval(before_s)


def is_now(interval_s: float) -> bool:
    return sys.getswitchinterval() == pytest.approx(interval_s, abs=1e-6)


def test_it_is_short_inside_and_as_before_afterwards() -> None:
    with short_switch_interval(SHORT_S):
        assert is_now(SHORT_S)
    assert is_now(LONG_S)


def test_an_error_inside_puts_it_back_too() -> None:
    with pytest.raises(KeyError), short_switch_interval(SHORT_S):
        raise KeyError
    assert is_now(LONG_S)


@pytest.mark.parametrize("asked_s", [0.0, 2 * LONG_S])
def test_nothing_is_asked_and_nothing_longer_is_set(asked_s: float) -> None:
    with short_switch_interval(asked_s):
        assert is_now(LONG_S)
    assert is_now(LONG_S)


def test_what_the_program_sets_meanwhile_stays() -> None:
    with short_switch_interval(SHORT_S):
        sys.setswitchinterval(2 * LONG_S)
    assert is_now(2 * LONG_S)


async def test_a_runtime_sets_it_while_it_is_open() -> None:
    config = Config(engine=EngineOptions(switch_interval_s=SHORT_S))
    async with open_runtime(config, backend=FakeBackend()):
        assert is_now(SHORT_S)
    assert is_now(LONG_S)


async def test_a_runtime_that_is_told_not_to_leaves_it_alone() -> None:
    config = Config(engine=EngineOptions(switch_interval_s=0.0))
    async with open_runtime(config, backend=FakeBackend()):
        assert is_now(LONG_S)
