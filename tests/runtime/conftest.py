"""What the tests of turns share."""

from __future__ import annotations

import pytest

from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage


@pytest.fixture
def backend(fake_backend: FakeBackend) -> FakeBackend:
    """Give a fake whose replies never end by themselves."""
    fake_backend.language = FakeLanguage(end_one_in=0)
    return fake_backend
