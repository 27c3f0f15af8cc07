"""The generated page says what the code says."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from actorllama.runtime.reference import render_reference
from actorllama.telemetry import Event

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference.md"
DECLARING = sorted(path.parent.name for path in (ROOT / "actorllama").glob("*/events.py"))


def test_the_reference_page_is_what_the_code_generates() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_reference()


@pytest.mark.parametrize("room", DECLARING)
def test_every_event_of_every_room_is_on_the_page(room: str) -> None:
    events: tuple[Event, ...] = importlib.import_module(f"actorllama.{room}.events").EVENTS
    words = render_reference()
    assert events
    assert [str(event) for event in events if f"| `{event}` |" not in words] == []
