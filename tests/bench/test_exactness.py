"""What exact costs is measured on both sides, apart for prompts and decoding, within a budget."""

from __future__ import annotations

import pytest

from actorllama import demo
from actorllama.bench import CostOptions, Speeds, run_exactness_cost
from actorllama.errors import RequestError
from actorllama.native import ContextOptions

CONTEXT = ContextOptions(n_seq=2, n_threads=1, n_batch=64)


def options(**changes: object) -> CostOptions:
    given: dict[str, object] = {"lengths": (96,), "n_tokens": 4, "n_rounds": 2, "context": CONTEXT, **changes}
    return CostOptions(model=demo.model_path(), label="demo", **given)  # type: ignore[arg-type]


async def test_both_sides_are_measured_at_every_length() -> None:
    told: list[str] = []
    report = await run_exactness_cost(options(lengths=(64, 96)), told.append)
    answer = report.to_json()
    assert {"bench", "model", "n_seq", "n_tokens", "n_rounds", "lengths", "machine"} < set(answer)
    assert (answer["bench"], answer["n_seq"]) == ("exactness", 2)
    assert [at.n_prompt for at in report.lengths] == [64, 96]
    for at in report.lengths:
        for speeds in (at.prefill, at.decode):
            assert len(speeds.exact) == len(speeds.faithful) == 2
            assert min(*speeds.exact, *speeds.faithful) > 0
    assert len(told) == 3
    assert sum("ratio" in line for line in report.lines()) == 5


async def test_a_budget_shortens_the_prompts() -> None:
    report = await run_exactness_cost(options(lengths=(2048,), n_rounds=1, budget_s=1e-6))
    assert [at.n_prompt for at in report.lengths] == [64]


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    speeds = Speeds(exact=(90.0, 80.0, 400.0), faithful=(100.0, 100.0, 400.0))
    assert speeds.to_json() == {
        "exact_tokens_per_s": 90.0,
        "faithful_tokens_per_s": 100.0,
        "ratio": 0.9,
        "ratio_q1": 0.85,
        "ratio_q3": 0.95,
        "ratio_min": 0.8,
        "ratio_max": 1.0,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"lengths": ()},
        {"lengths": (63,)},
        {"n_tokens": 3},
        {"n_rounds": 0},
        {"context": ContextOptions(type_v="q8_0")},
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        options(**changes)
