"""The bounds of the eviction bench, against every way to keep blocks."""

from __future__ import annotations

import functools

from hypothesis import given
from hypothesis import strategies as st

from actorllama.bench.block_trace import BlockTrace, TracedRequest
from actorllama.bench.clairvoyant import intervals_of, most_hits, saved_bound_s
from actorllama.bench.prefill_cost import PrefillCost

LINEAR = PrefillCost(token_s=1.0)
DEEP = PrefillCost(token_s=1.0, attention_tokens=3)


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


def best_by_trying_all(trace: BlockTrace, n_blocks_max: int, cost: PrefillCost | None) -> float:
    """Try every way to keep blocks: most hits, or most seconds where a cost is given."""

    def worth(request: TracedRequest, n_hits: int) -> float:
        return n_hits if cost is None else cost.range_s(0, min(2 * n_hits, request.n_tokens))

    @functools.cache
    def best(at: int, held: frozenset[int]) -> float:
        if at == len(trace.requests):
            return 0.0
        request = trace.requests[at]
        n_hits = 0
        while n_hits < len(request.blocks) and request.blocks[n_hits] in held:
            n_hits += 1
        choices: set[frozenset[int]] = {frozenset()}
        for block in held | set(request.blocks):
            choices |= {kept | {block} for kept in choices if len(kept) < n_blocks_max}
        return worth(request, n_hits) + max(best(at + 1, kept) for kept in choices)

    nothing: frozenset[int] = frozenset()
    return best(0, nothing)


TREES = st.sampled_from(
    [[None, 0, 1, 0, None], [None, 0, 1, 2, 3], [None, None, None, None], [None, 0, 0, 1, 1]]
)


@given(
    parents=TREES,
    leaves=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=6),
    n_blocks_max=st.integers(0, 3),
)
def prop_no_way_to_keep_blocks_beats_the_bounds_and_the_most_hits_are_exact(
    parents: list[int | None], leaves: list[tuple[int, int]], n_blocks_max: int
) -> None:
    trace = tree_trace(leaves, parents)
    for cost in (LINEAR, DEEP):
        intervals = intervals_of(trace, cost)
        is_hit = most_hits(intervals, n_blocks_max=n_blocks_max)
        reached_s = float(intervals.worths_s[is_hit].sum())
        bound_s = saved_bound_s(intervals, n_blocks_max=n_blocks_max, reached_s=reached_s)
        assert int(is_hit.sum()) == best_by_trying_all(trace, n_blocks_max, None)
        best_s = best_by_trying_all(trace, n_blocks_max, cost)
        assert reached_s - 1e-9 <= best_s <= bound_s + 1e-9
