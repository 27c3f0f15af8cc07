"""The eviction bench: bounds that are bounds, traces that are checked, figures that add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from actorllama.bench.block_trace import BlockTrace, TracedRequest, read_block_trace
from actorllama.bench.eviction import EvictionBenchOptions, run_eviction_bench
from actorllama.bench.prefill_cost import PrefillCost
from actorllama.bench.replay import replay
from actorllama.bench.synthetic_traces import SYNTHETIC, synthetic_trace
from actorllama.errors import RequestError
from actorllama.kvcache.policies import DEFAULT_POLICY, POLICIES, policy_named

LINEAR = PrefillCost(token_s=1.0)
DEEP = PrefillCost(token_s=1.0, attention_tokens=3)
TRACE = Path("/work/shared/traces/mooncake-synthetic.jsonl")


def tree_trace(picks: list[tuple[int, int]], parents: list[int | None]) -> BlockTrace:
    """Make a trace of paths to a block of a tree; blocks of 2 tokens, of which the last may be short."""
    requests: list[TracedRequest] = []
    for leaf, n_missing in picks:
        path: list[int] = []
        at: int | None = leaf
        while at is not None:
            path.append(at)
            at = parents[at]
        requests.append(TracedRequest(n_tokens=2 * len(path) - n_missing, blocks=tuple(reversed(path))))
    return BlockTrace(label="tree", block_tokens=2, requests=tuple(requests), parents=tuple(parents))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("kind", SYNTHETIC)
def test_no_policy_beats_the_bounds_and_its_counts_add_up(name: str, kind: str) -> None:
    trace = synthetic_trace(kind, n_requests=150, block_tokens=4)
    report = run_eviction_bench(
        trace, EvictionBenchOptions(policies=(name,), fractions=(0.05, 0.3, 1.0), cost=DEEP)
    )
    for budget in report.budgets:
        seen = budget.policies[name]
        assert seen.n_hits <= budget.optimal_hits
        assert seen.saved_s <= budget.bound_s * (1 + 1e-9)
        assert 0 <= seen.n_written - seen.n_evicted <= budget.n_blocks_max
        assert seen.n_hits + seen.n_written + seen.n_declined == trace.n_references
    everything = report.budgets[-1]
    assert everything.policies[name].n_hits == trace.n_references - trace.n_blocks
    assert everything.optimal_hits == trace.n_references - trace.n_blocks


@pytest.mark.parametrize("kind", SYNTHETIC)
@pytest.mark.parametrize("attention_tokens", [0, 8192])
def test_the_default_is_never_much_worse_than_lru(kind: str, attention_tokens: int) -> None:
    trace = synthetic_trace(kind, n_requests=400, block_tokens=512)
    cost = PrefillCost(token_s=1e-3, attention_tokens=attention_tokens)
    options = EvictionBenchOptions(policies=(DEFAULT_POLICY, "lru"), fractions=(0.05, 0.2), cost=cost)
    for budget in run_eviction_bench(trace, options).budgets:
        ours, lru = budget.policies[DEFAULT_POLICY], budget.policies["lru"]
        assert ours.saved_s >= 0.95 * lru.saved_s


@pytest.mark.slow
@pytest.mark.skipif(not TRACE.exists(), reason="the recorded trace is not here")
def test_the_default_saves_more_than_lru_on_the_recorded_trace() -> None:
    trace = read_block_trace(TRACE, block_tokens=512)
    assert round(trace.n_used_once() / trace.n_blocks, 3) == 0.584
    for cost in (PrefillCost(token_s=1e-3), PrefillCost(token_s=1e-3, attention_tokens=8192)):
        n_blocks_max = trace.n_blocks // 5
        ours, lru = (
            replay(trace, policy_named(name), n_blocks_max=n_blocks_max, block_bytes=1, cost=cost)
            for name in (DEFAULT_POLICY, "lru")
        )
        assert ours.saved_s > 1.02 * lru.saved_s


def test_a_prefix_is_a_hit_only_as_far_as_all_its_blocks_are_there() -> None:
    trace = tree_trace([(2, 0), (3, 0), (2, 1)], [None, 0, 1, None])
    seen = replay(trace, policy_named("lru"), n_blocks_max=3, block_bytes=1, cost=LINEAR)
    assert (seen.n_hits, seen.n_hit_tokens, seen.saved_s) == (2, 4, 4.0)
    assert (seen.n_written, seen.n_evicted, seen.n_declined) == (5, 2, 0)


def test_the_report_is_the_same_each_time_and_reads_well() -> None:
    trace = synthetic_trace("conversations", n_requests=50, block_tokens=512)
    options = EvictionBenchOptions(fractions=(0.1,), budgets_bytes=(1 << 30,))
    first, second = run_eviction_bench(trace, options), run_eviction_bench(trace, options)
    times = set(first.facts.envelope("eviction", {})) - {"bench", "options"}
    found = [
        {key: report.to_json()[key] for key in report.to_json() if key not in times}
        for report in (first, second)
    ]
    assert found[0] == found[1]
    budgets = cast("list[dict[str, dict[str, object]]]", first.to_json()["budgets"])
    assert [set(budget["policies"]) for budget in budgets] == [set(POLICIES)] * 2
    assert json.loads(json.dumps(first.to_json(), allow_nan=False)) == first.to_json()
    assert first.chart().panels[0].series[-1].is_dashed
    assert first.lines()[-1].startswith("Not shown:")
    assert all(len(line) <= 100 for line in first.lines())


def test_attention_makes_deep_tokens_dearer() -> None:
    assert PrefillCost(token_s=1.0).range_s(8, 10) == 2.0
    assert PrefillCost(token_s=1.0, attention_tokens=8).range_s(8, 9) == 2.0


def line(**changed: object) -> str:
    fields: dict[str, object] = {"timestamp": 5, "input_length": 3, "hash_ids": ["a", 2], **changed}
    return json.dumps({name: value for name, value in fields.items() if value is not ...})


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ("{", "line"),
        ("[" * 100_000, "line"),
        ("[1]", "line"),
        ("\udcff", "line"),
        (line(timestamp="now"), "timestamp"),
        (line(timestamp=True), "timestamp"),
        (line(timestamp=4), "timestamp"),
        (line(timestamp=float("nan")), "timestamp"),
        (line(input_length=...), "input_length"),
        (line(input_length=0), "input_length"),
        (line(input_length=3.0), "input_length"),
        (line(input_length=1 << 50), "input_length"),
        (line(hash_ids=...), "hash_ids"),
        (line(hash_ids=["a"]), "hash_ids"),
        (line(hash_ids=["a", None]), "hash_ids"),
        (line(hash_ids=["a", True]), "hash_ids"),
        (line(hash_ids=["a", "a"]), "hash_ids"),
        (line(hash_ids=["b", 2]), "hash_ids"),
    ],
)
def test_a_bad_line_is_named_with_its_field(bad: str, field: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(f"{line()}\n\n{bad}\n".encode(errors="surrogateescape"))
    with pytest.raises(RequestError, match="line 3") as caught:
        read_block_trace(path, block_tokens=2)
    assert caught.value.field == f"line 3: {field}"


def test_a_trace_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(f"{line()}\n{line(timestamp=..., input_length=4, hash_ids=['a', 3], more=1)}\n")
    trace = read_block_trace(path, block_tokens=2)
    assert trace.parents == (None, 0, 0)
    assert [request.blocks for request in trace.requests] == [(0, 1), (0, 2)]
    assert (trace.n_tokens, trace.n_references, trace.n_used_once(), trace.label) == (7, 4, 2, "trace.jsonl")


@pytest.mark.parametrize("content", [None, "", "\n \n"])
def test_a_trace_that_is_not_there_or_is_empty_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RequestError, match="trace"):
        read_block_trace(path, block_tokens=2)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("fraction", {"fractions": (0.0,)}),
        ("fraction", {"fractions": (float("nan"),)}),
        ("bytes", {"budgets_bytes": (-1,)}),
        ("token_bytes", {"token_bytes": 0}),
        ("policy", {"policies": ("belady",)}),
    ],
)
def test_options_that_cannot_be_replayed_are_refused(field: str, options: dict[str, object]) -> None:
    with pytest.raises(RequestError, match=field):
        EvictionBenchOptions(**options)  # type: ignore[arg-type]


def test_costs_and_kinds_that_are_none_are_refused() -> None:
    with pytest.raises(RequestError, match="token_us"):
        PrefillCost(token_s=0.0)
    with pytest.raises(RequestError, match="attention_tokens"):
        PrefillCost(token_s=1.0, attention_tokens=-1)
    with pytest.raises(RequestError, match="synthetic"):
        synthetic_trace("none", n_requests=1, block_tokens=1)
    with pytest.raises(RequestError, match="n_requests"):
        synthetic_trace("loop", n_requests=0, block_tokens=1)
