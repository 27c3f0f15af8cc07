"""Fixtures for the tests of the test kit, made the way that a user of the kit would make them."""

from __future__ import annotations

from actorllama.testing import loop_guard_fixture

loop_stays_free = loop_guard_fixture()
