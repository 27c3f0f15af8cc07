"""The generated page says what the code says."""

from __future__ import annotations

from pathlib import Path

from actorllama.runtime.reference import render_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_reference_page_is_what_the_code_generates() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_reference()
