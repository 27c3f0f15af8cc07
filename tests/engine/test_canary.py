"""The canary tells contexts apart by their own arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve

from actorllama import demo
from actorllama.engine import Check, level_of, run_canary
from actorllama.native import ContextOptions, InferenceContext, ModelOptions
from actorllama.native.llama import LlamaBackend
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_shapes import SHAPES, WeightType


def canary(path: Path, **options: object) -> dict[str, bool]:
    model = LlamaBackend().load(path, ModelOptions(), lambda _fraction: True)
    settings = {"n_seq": 3, "ctx_per_seq": 600, "n_threads": 1, **options}
    context: InferenceContext = model.open_context(ContextOptions(**settings))  # type: ignore[arg-type]
    report = run_canary(context)
    context.close()
    model.close()
    found = {check.name: check.passed for check in report.checks}
    return found | {level_of(report.checks): True, "padded": report.pads_lone_rows}


def test_the_default_layout_is_exact_on_quantised_weights() -> None:
    assert canary(demo.model_path())["exact"]


@pytest.mark.parametrize("weights", ["F32", "F16"])
def test_weights_that_are_not_quantised_are_exact_where_no_row_is_alone(
    tmp_path: Path, weights: WeightType
) -> None:
    path = write_random_model(tmp_path / "m.gguf", evolve(SHAPES["llama"], weights=weights), seed=1)
    assert canary(path) == canary(path) | {"exact": True, "padded": True}
    alone = canary(path, n_seq=1)
    assert (alone["exact"], alone["padded"]) == (True, False)


def test_fused_attention_is_only_faithful() -> None:
    found = canary(demo.model_path(), flash_attention=True)
    assert found["faithful"]
    assert found["restored state"]
    assert not found["prompt cut into other chunks"]


@pytest.mark.parametrize("family", ["gemma3", "mamba", "jamba"])
def test_windows_and_recurrent_states_come_back_bit_by_bit(tmp_path: Path, family: str) -> None:
    path = write_random_model(tmp_path / "m.gguf", family, seed=1)
    assert canary(path)["restored state"]


def test_one_sequence_and_a_short_one_can_be_tried_too() -> None:
    assert canary(demo.model_path(), n_seq=1)["restored state"]
    assert canary(demo.model_path(), ctx_per_seq=64)["restored state"]


def test_the_fake_model_is_exact() -> None:
    model = FakeBackend().load(Path("fake.gguf"), ModelOptions(), lambda _fraction: True)
    context = model.open_context(ContextOptions(n_seq=3, ctx_per_seq=128))
    assert level_of(run_canary(context).checks) == "exact"
    context.close()
    model.close()


def check(name: str, decides: str, *, passed: bool) -> Check:
    return Check(name=name, passed=passed, detail="", decides=decides)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failed", "level"),
    [((), "exact"), (("b",), "faithful"), (("a",), "recomputed"), (("a", "b"), "recomputed")],
)
def test_the_level_is_the_best_that_no_failure_forbids(failed: Sequence[str], level: str) -> None:
    checks = [
        check("a", "recomputed", passed="a" not in failed),
        check("b", "faithful", passed="b" not in failed),
    ]
    assert level_of(checks) == level
