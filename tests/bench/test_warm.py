"""Every case of the warm bench comes from where it says, and has the bare thing beside it."""

from __future__ import annotations

import pytest

from actorllama import demo
from actorllama.bench.warm import run_warm_bench
from actorllama.bench.warm_options import WARM_SOURCES, WarmBenchOptions, WarmSource, prompt_tokens
from actorllama.bench.warm_report import NeighbourGaps, WarmCase, WarmShot
from actorllama.errors import RequestError


def options(**changes: object) -> WarmBenchOptions:
    given: dict[str, object] = {
        "n_ctx_train": 512,
        "lengths": (96,),
        "n_rounds": 1,
        "n_neighbours": 1,
        "n_threads": 1,
        "block_tokens": 32,
        **changes,
    }
    return WarmBenchOptions(model=demo.model_path(), label="demo", **given)  # type: ignore[arg-type]


@pytest.mark.model
@pytest.mark.slow
async def test_every_source_is_measured_with_and_without_neighbours() -> None:
    told: list[str] = []
    report = await run_warm_bench(options(), told.append)
    answer = report.to_json()
    assert [case.error for case in report.cases] == [None] * 10
    found = [(case.source, case.neighbours) for case in report.cases]
    assert found == [(source, n) for source in WARM_SOURCES for n in (0, 1)]
    for case in report.cases:
        facts = case.to_json()
        assert facts["n_tokens"] == 96
        assert facts["n"] == 1
        assert (facts["n_cached"] == 0) == (case.source == "cold")
        for name in ("first_token_s", "bare_s", "ratio", "ratio_min", "ratio_max"):
            assert float(str(facts[name])) > 0
    assert {"machine", "model", "options", "commit", "cases", "neighbours_p99", "disk_to_ram"} < set(answer)
    assert report.gaps is not None
    assert min(map(len, (report.gaps.alone_s, report.gaps.restored_s, report.gaps.saved_s))) > 0
    assert sum("neighbours" in line for line in told) == 11
    heads, rows = report.table()
    assert {len(row) for row in rows} == {len(heads)}
    assert any("p99" in line for line in report.notes())


@pytest.mark.model
async def test_a_turn_that_came_from_elsewhere_is_an_error_and_no_figure() -> None:
    # Nothing but a prompt as long as one block is there to be found, and it is too short to be worth it.
    report = await run_warm_bench(
        options(sources=("live",), n_neighbours=0, lengths=(32,), n_suffix=16), lambda _line: None
    )
    (case,) = report.cases
    assert case.error is None
    lost = WarmCase(n_tokens=32, source="ram", neighbours=0, error="came from live")
    assert lost.to_json() == {"n_tokens": 32, "source": "ram", "neighbours": 0, "error": "came from live"}


def test_the_ratio_is_the_median_of_neighbours_in_time() -> None:
    parts = (0.0, 0.1, 0.2)
    shots = tuple(
        WarmShot(first_token_s=first_s, bare_s=bare_s, n_cached=64, parts_s=parts)
        for first_s, bare_s in ((2.0, 1.0), (3.0, 2.0), (40.0, 10.0))
    )
    facts = WarmCase(n_tokens=64, source="ram", neighbours=0, shots=shots).to_json()
    assert (facts["ratio"], facts["ratio_min"], facts["ratio_max"]) == (2.0, 1.5, 4.0)
    assert facts["first_token_s"] == 3.0


def test_the_gaps_of_neighbours_are_compared_by_their_99th_percentile() -> None:
    gaps = NeighbourGaps(
        n_tokens=64, alone_s=(1.0,) * 200, live_s=(1.0, 2.0), restored_s=(3.0, 1.0), saved_s=()
    )
    facts = gaps.to_json()
    assert (facts["restored_ratio"], facts["saved_ratio"]) == (1.5, 0.0)


def test_lengths_that_are_not_given_go_as_far_as_the_model() -> None:
    assert options(lengths=(), n_ctx_train=5000).prefixes == (512, 2048, 4096)
    assert options(lengths=(), n_ctx_train=256).prefixes == (160,)
    assert options(lengths=(100, 97)).prefixes == (96,)


def test_prompts_of_other_names_do_not_begin_alike() -> None:
    names = [f"prefix of {n}" for n in range(50)]
    assert len({tuple(prompt_tokens(8, name)) for name in names}) == len(names)
    assert prompt_tokens(8, "a") == prompt_tokens(64, "a")[:8]


@pytest.mark.parametrize(
    "changes",
    [
        {"lengths": (16,)},
        {"lengths": (1000,)},
        {"n_suffix": 1},
        {"n_suffix": 32},
        {"n_rounds": 0},
        {"n_neighbours": -1},
        {"lengths": (), "n_ctx_train": 64},
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        options(**changes)


def test_the_sources_are_in_the_order_of_their_distance() -> None:
    expected: tuple[WarmSource, ...] = ("cold", "live", "ram", "disk", "restart")
    assert expected == WARM_SOURCES
