"""Costs are measured at every size, and an exponent above that of theory is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorllama import demo
from actorllama.bench.facts import BenchStart
from actorllama.bench.harness import Spread
from actorllama.bench.scaling import (
    Curve,
    ScalingAxis,
    ScalingBenchOptions,
    ScalingReport,
    Theory,
    fit_power,
    run_scaling_bench,
)
from actorllama.bench.scaling.crowd import BLOCK_TOKENS, N_SHARED_TOKENS, NAMESPACE, Crowd
from actorllama.errors import RequestError
from actorllama.kvcache import PrefixIndex


def options(*axes: ScalingAxis, tolerance: float = 0.2) -> ScalingBenchOptions:
    return ScalingBenchOptions(
        model=demo.model_path(),
        label="demo",
        axes=axes,
        n_rounds=2,
        n_threads=1,
        is_quick=True,
        tolerance=tolerance,
    )


def curve(*costs_s: float, theory: float = 0.0) -> Curve:
    points = tuple((10**place, Spread.of([cost_s, cost_s])) for place, cost_s in enumerate(costs_s))
    return Curve(
        axis="actors",
        name="call_s",
        side="runtime",
        unit="s",
        theory=Theory(exponent=theory, words="why"),
        points=points,
    )


def test_an_exponent_above_that_of_theory_by_more_than_the_tolerance_is_told() -> None:
    flat, linear = curve(1e-5, 1.1e-5, 1e-5), curve(1e-5, 1e-4, 1e-3)
    report = ScalingReport(facts=BenchStart.now().facts(), options=options("actors"), curves=(flat, linear))
    answer = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [item["is_worse_than_theory"] for item in answer["curves"]] == [False, True]
    assert answer["curves"][1]["exponent"] == pytest.approx(1.0)
    assert answer["worse_than_theory"] == ["actors: call_s (runtime)"]
    told = [line for line in report.lines() if "WORSE THAN THEORY" in line]
    assert len(told) == 2
    assert not linear.is_worse(1.5)
    assert not curve(1e-5, 1e-4, 1e-3, theory=1.0).is_worse(0.01)


def test_costs_that_fall_are_not_worse_and_the_report_says_so() -> None:
    report = ScalingReport(
        facts=BenchStart.now().facts(), options=options("actors"), curves=(curve(1e-3, 1e-4, 1e-5),)
    )
    assert report.worse == ()
    assert any(line.startswith("No exponent is above") for line in report.lines())


def test_two_points_determine_an_exponent_and_have_no_error() -> None:
    fit = fit_power([(1.0, 2.0), (4.0, 4.0)])
    assert fit.exponent == pytest.approx(0.5)
    assert fit.stderr is None
    assert fit.at(16.0) == pytest.approx(8.0)


@pytest.mark.parametrize(
    "points", [[], [(1.0, 1.0)], [(1.0, 1.0), (1.0, 2.0)], [(0.0, 1.0), (1.0, 1.0)], [(1.0, 0.0), (2.0, 1.0)]]
)
def test_what_has_no_exponent_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="two sizes"):
        fit_power(points)


def test_conversations_of_the_crowd_begin_alike_and_are_found_whole() -> None:
    crowd, index = Crowd(), PrefixIndex()
    for entry in (*crowd.shared, *crowd.entries(1), *crowd.entries(40_000)):
        index.add(entry, "ram")
    for number in (1, 40_000):
        prompt = [*crowd.tokens(number), 1]
        hit = index.longest_prefix(NAMESPACE, prompt, block_tokens=BLOCK_TOKENS, needs_boundary=False)
        assert hit is not None
        assert hit.n_cells == len(prompt) - 2
        assert crowd.entries(number)[-1].key in {entry.key for entry in crowd.entries(number)}
    other = index.longest_prefix(NAMESPACE, crowd.tokens(2), block_tokens=BLOCK_TOKENS, needs_boundary=False)
    assert other is not None
    assert other.n_cells == N_SHARED_TOKENS


@pytest.mark.slow
async def test_the_cache_and_the_actors_are_measured_at_every_size_without_a_model() -> None:
    given = options("conversations", "actors")
    told: list[str] = []
    report = await run_scaling_bench(given, told.append)
    assert report.facts.model is None
    names = {(item.axis, item.name, item.side) for item in report.curves}
    assert {name for axis, name, _ in names if axis == "conversations"} == {
        *("lookup_s", "put_s", "evicting_put_s", "index_start_s")
    }
    assert {(name, side) for axis, name, side in names if axis == "actors"} == {
        (name, side) for name in ("call_s", "start_s", "actor_bytes") for side in ("runtime", "bare")
    }
    for item in report.curves:
        assert [size for size, _ in item.points] == list(given.sizes(item.axis))
        assert all(min(spread.values) > 0 for _, spread in item.points)
    assert told == ["10 conversations", "30 conversations", "100 conversations", "10 actors", "30 actors"]
    assert [panel.x_label for panel in report.chart().panels] == [
        "conversations in the cache",
        "actors alive",
        "actors alive",
    ]


@pytest.mark.slow
@pytest.mark.model
async def test_a_longer_context_is_decoded_restored_and_saved_beside_the_bare_calls() -> None:
    report = await run_scaling_bench(options("context"))
    assert {(item.name, item.side) for item in report.curves} == {
        (name, side) for name in ("decode_s_per_token", "restore_s", "save_s") for side in ("runtime", "bare")
    }
    for item in report.curves:
        assert [size for size, _ in item.points] == [128, 256]
        assert all(min(spread.values) > 0 for _, spread in item.points)
    assert report.facts.model is not None
    assert report.facts.build is not None


@pytest.mark.parametrize(
    "changes",
    [{"axes": ()}, {"n_rounds": 0}, {"n_rounds": 101}, {"tolerance": -0.1}, {"tolerance": float("nan")}],
    ids=str,
)
def test_what_cannot_be_measured_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        ScalingBenchOptions(model=Path(), label="m", **changes)  # type: ignore[arg-type]
