"""Shared by the tests of the actors room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

RECORDED = Path(__file__).with_name("otp_outcomes.txt")


@pytest.fixture
def recorded() -> Callable[[str], dict[str, str]]:
    """Read what a real OTP 25 did, for the groups whose names begin so."""

    def read(prefix: str) -> dict[str, str]:
        lines = RECORDED.read_text(encoding="utf-8").splitlines()
        pairs = (line.split(": ", 1) for line in lines if line.startswith(prefix))
        return {label: outcome.strip() for label, outcome in pairs}

    return read
