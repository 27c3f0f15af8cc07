"""What is known to be inexact is never called exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorllama.runtime import LoadOptions, verify_model
from actorllama.testing.random_models import write_random_model


@pytest.mark.slow
async def test_shared_cells_are_faithful_at_best(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "m.gguf", "qwen3", seed=1)
    settings: LoadOptions = {"n_seq": 3, "ctx_per_seq": 640, "n_threads": 1, "layout": "shared"}
    report = await verify_model(path, settings)

    assert report.level == "faithful"
    assert "shared layout" in [check.name for check in report.checks if not check.passed]
    assert all(check.passed for check in report.checks if check.name == "after a restart")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gemma3", "jamba"])
async def test_windows_and_hybrids_are_exact_and_their_states_are_really_brought_back(
    tmp_path: Path, family: str
) -> None:
    path = write_random_model(tmp_path / "m.gguf", family, seed=1)
    report = await verify_model(path, {"n_seq": 3, "ctx_per_seq": 640, "n_threads": 1})

    assert report.level == "exact"
    cut = next(check for check in report.checks if check.name == "cut, dropped, restored")
    assert "the states of 3 were brought back" in cut.detail
