"""What tests of several rooms share: the fake backend, events heard, a guarded loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing import loop_guard_fixture
from actorllama.testing.fake_backend import FakeBackend

loop_stays_free = loop_guard_fixture()


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
