"""A young process has its first full collection behind it when its first turn comes."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import gc
from actorllama.engine.first_collection import collect_if_young
{before}
n_before = gc.get_stats()[2]["collections"]
print([collect_if_young() for _ in range(9)].count(True), gc.get_stats()[2]["collections"] - n_before)
"""


@pytest.mark.parametrize(
    ("before", "n_made"),
    [
        ("for _ in range(6): gc.collect()", 0),
        ("gc.disable()", 0),
        ("gc.disable(); gc.enable(); gc.set_threshold(700, 10, 10)", None),
    ],
    ids=["old", "switched off", "young"],
)
def test_only_a_young_process_is_collected_and_only_until_it_is_not(before: str, n_made: int | None) -> None:
    program = PROGRAM.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=180
    )
    n_said, n_seen = map(int, done.stdout.split())
    assert n_said == n_seen, "it says what it did"
    if n_made is None:
        assert 1 <= n_said <= 6
    else:
        assert n_said == n_made
