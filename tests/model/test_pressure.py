"""An idle model under pressure really gives its memory back, and nobody notices but by the time it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from actorllama import demo
from actorllama.testing.random_models import cached_random_model

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300.0


def live(root: Path, model: Path, *sizes: int) -> dict[str, object]:
    """Run one life in a process of its own."""
    command = [sys.executable, "-m", "tests.model.parking", str(root), str(model), *map(str, sizes)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def check(found: dict[str, object], *, kv_bytes: int) -> None:
    """The context is gone from the process, and every turn goes on as if nothing had been."""
    loaded, parked, resumed = (
        cast("int", found[f"{when}_bytes"]) for when in ("loaded", "parked", "resumed")
    )
    assert loaded - parked >= 0.9 * kv_bytes
    assert parked + 0.9 * kv_bytes <= resumed
    won = cast("list[list[object]]", found["won"])
    assert won[-1] == ["shrink", kv_bytes - cast("int", found["kept_bytes"])]
    assert {"demote"} <= {step for step, _ in won[:-1]} <= {"demote", "drop_scratch"}
    assert found["state"] == "parked"
    assert found["exactness"] == ["exact"]
    assert found["n_computed"] == [1, 1, 1]
    assert found["is_equal"] == [True, True, True]


def test_an_idle_model_gives_its_cells_back_and_goes_on_exactly(tmp_path: Path) -> None:
    n_seq, ctx = 8, 14336
    check(live(tmp_path, demo.model_path(), n_seq, ctx), kv_bytes=n_seq * ctx * 2048)


@pytest.mark.slow
def test_so_does_one_of_the_shape_of_half_a_billion_parameters(tmp_path: Path) -> None:
    n_seq, ctx = 8, 2304
    model = cached_random_model(tmp_path, "0.5b")
    check(live(tmp_path / "state", model, n_seq, ctx), kv_bytes=n_seq * ctx * 24 * 2 * 128 * 2)
