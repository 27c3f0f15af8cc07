"""What a canary said is kept, and asked again where it cannot be believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest

from actorllama import demo
from actorllama.engine.verdict import Verdict, find_verdict
from actorllama.native import ContextOptions, ModelOptions, NativeModel
from actorllama.native.llama import LlamaBackend
from actorllama.testing.fake_backend import FakeBackend

R = TypeVar("R")


class HostThread:
    """Counts what ran on it."""

    def __init__(self) -> None:
        self.n_calls = 0

    def __call__(self, work: Callable[[], R], /) -> R:
        self.n_calls += 1
        return work()


def answer(**fields: object) -> str:
    """Write a file that is as it should be but for these fields."""
    check = {"name": "a", "passed": True, "detail": "", "decides": "exact"}
    return json.dumps({"version": 2, "pads_lone_rows": False, "checks": [check]} | fields)


@pytest.fixture(name="model", scope="module")
def loaded_model() -> Generator[NativeModel]:
    model = LlamaBackend().load(demo.model_path(), ModelOptions(), lambda _fraction: True)
    yield model
    model.close()


def judged(
    model: NativeModel,
    host: HostThread,
    directory: Path | None,
    *,
    is_asked: bool = True,
    budget_s: float = 60.0,
    **options: object,
) -> Verdict:
    settings: dict[str, object] = {"n_seq": 3, "ctx_per_seq": 600, "n_threads": 1, **options}
    context = model.open_context(ContextOptions(**settings))  # type: ignore[arg-type]
    try:
        return find_verdict(
            context=context,
            namespace="ab",
            on_host=host,
            is_asked=is_asked,
            budget_s=budget_s,
            directory=directory,
        )
    finally:
        assert all(context.position_range(seq_id) is None for seq_id in range(3))
        context.close()


def test_what_was_tried_once_is_remembered(model: NativeModel, tmp_path: Path) -> None:
    first, second = HostThread(), HostThread()
    tried = judged(model, first, tmp_path / "v")
    known = judged(model, second, tmp_path / "v")
    assert (tried.level, tried.source, tried.problem) == ("exact", "canary", "")
    assert (known.level, known.source, known.checks) == ("exact", "remembered", tried.checks)
    assert first.n_calls > 20
    assert second.n_calls == 0


def test_the_answer_that_the_bad_ones_are_made_of_is_read(model: NativeModel, tmp_path: Path) -> None:
    judged(model, HostThread(), tmp_path, budget_s=0.0)
    (kept,) = tmp_path.glob("*.json")
    kept.write_text(answer())
    assert judged(model, HostThread(), tmp_path, budget_s=0.0).source == "remembered"


def test_other_terms_are_another_question(model: NativeModel, tmp_path: Path) -> None:
    judged(model, HostThread(), tmp_path)
    again = judged(model, HostThread(), tmp_path, ctx_per_seq=700)
    assert again.source == "canary"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 5000,
        answer(version=1),
        answer(version=3),
        answer(pads_lone_rows=0),
        answer(checks=[]),
        answer(checks={}),
        answer(checks=[7]),
        answer(checks=[dict[str, str]()]),
        answer(checks=[{"name": "a", "passed": 1, "detail": "", "decides": "exact"}]),
        answer(checks=[{"name": "a", "passed": True, "detail": "", "decides": "best"}]),
        " " * (1 << 17),
    ],
)
def test_an_answer_that_cannot_be_read_is_asked_again(model: NativeModel, tmp_path: Path, text: str) -> None:
    judged(model, HostThread(), tmp_path, budget_s=0.0)
    (kept,) = tmp_path.glob("*.json")
    kept.write_text(text)
    assert judged(model, HostThread(), tmp_path, budget_s=0.0).source == "canary"


def test_an_answer_that_cannot_be_kept_is_an_answer_all_the_same(model: NativeModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    verdict = judged(model, HostThread(), tmp_path / "file")
    assert verdict.level == "exact"
    assert "file" in verdict.problem


def test_a_small_budget_tries_a_shorter_prompt(model: NativeModel) -> None:
    verdict = judged(model, HostThread(), None, budget_s=0.0)
    assert verdict.level == "exact"
    assert verdict.checks[0].detail.startswith("40 cells")


def test_fused_attention_is_never_exact_on_a_short_prompt(model: NativeModel) -> None:
    assert judged(model, HostThread(), None, budget_s=0.0, flash_attention=True).level == "faithful"


def test_what_nobody_tried_is_not_promised(model: NativeModel) -> None:
    host = HostThread()
    verdict = judged(model, host, None, is_asked=False)
    assert (verdict.level, verdict.source, host.n_calls) == ("faithful", "not asked", 0)


def test_integers_need_no_canary() -> None:
    model = FakeBackend().load(Path("fake.gguf"), ModelOptions(), lambda _fraction: True)
    host = HostThread()
    assert judged(model, host, None).source == "by nature"
    assert host.n_calls == 0
    model.close()
