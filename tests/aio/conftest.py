"""What the tests of the asyncio and blocking faces share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Literal, cast

import pytest

from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage


@pytest.fixture
def backend(fake_backend: FakeBackend) -> FakeBackend:
    """Give a fake whose replies never end by themselves."""
    fake_backend.language = FakeLanguage(end_one_in=0)
    return fake_backend


@pytest.fixture(params=["thread", "guest"])
def mode(request: pytest.FixtureRequest) -> Literal["thread", "guest"]:
    """Give both places where trio may run."""
    return cast('Literal["thread", "guest"]', request.param)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Insist that a test ends with the threads it began with.

    Idle workers of trio's own cache are not counted: they belong to the process and end by themselves.
    """
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert [thread.name for thread in left if not thread.name.startswith("Trio thread")] == []
