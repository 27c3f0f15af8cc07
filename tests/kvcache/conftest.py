"""A root, and a strict bus that is listened to."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorllama.telemetry import MemoryHandler, StrictBus


@pytest.fixture
def bus() -> StrictBus:
    return StrictBus()


@pytest.fixture
def heard(bus: StrictBus) -> MemoryHandler:
    memory = MemoryHandler()
    bus.attach("test", (), memory, None)
    return memory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "some" / "cache"
