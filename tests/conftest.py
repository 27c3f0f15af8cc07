"""What tests of several rooms share: the fake backend, events heard, a guarded loop."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing import loop_guard_fixture
from actorllama.testing.fake_backend import FakeBackend

loop_stays_free = loop_guard_fixture()


def pytest_configure() -> None:
    """Hear Ctrl-C also where a shell has begun the suite in the background, which has it ignored.

    Processes that tests start would inherit that, and those that are to be interrupted would never end.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def fake_backend() -> Iterator[FakeBackend]:
    """Give a fake backend, and insist at the end that everything it opened was freed once."""
    backend = FakeBackend()
    yield backend
    backend.ledger.check()


@pytest.fixture
def bus() -> Bus:
    """Give a bus of the test's own."""
    return Bus()


@pytest.fixture
def heard(bus: Bus) -> MemoryHandler:
    """Keep everything told on ``bus``."""
    memory = MemoryHandler()
    bus.attach("test", (), memory, None)
    return memory
