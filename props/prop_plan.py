"""The step planner: within its bounds, whole prompts, nobody starved, no micro-batch that is not exact."""

from __future__ import annotations

from collections import Counter

from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from actorllama.engine.plan import PrefillView, StepPlan, StepRules, plan_bridges, plan_step, split_plan
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.loop_rig import open_loop
from props.micro_batches import split_equal

LENGTHS = st.integers(2, 300)
ROOM = st.integers(3, 96)  # what a batch has beyond the single rows
RULES = st.builds(
    StepRules,
    n_batch=ROOM,
    n_ubatch=st.integers(3, 96),
    n_mixed=st.integers(2, 99),
    mixes=st.booleans(),
    n_together=st.integers(1, 99),
)


@define
class Prompts:
    """Prompts by sequence id, oldest first, and what was planned for each: the plainest bookkeeping."""

    left: dict[int, int] = field(factory=dict[int, int])
    chunks: dict[int, list[int]] = field(factory=dict[int, list[int]])

    def add(self, n_tokens: int) -> None:
        seq_id = len(self.chunks)
        self.left[seq_id] = n_tokens
        self.chunks[seq_id] = []

    def plan(self, n_single: int, rules: StepRules, *, is_chunks_turn: bool = True) -> StepPlan:
        """Plan with room for so many single rows beside what the rules say."""
        views = [PrefillView(seq_id, n_left) for seq_id, n_left in self.left.items()]
        rules = evolve(rules, n_batch=rules.n_batch + n_single)
        n_room = rules.n_waited if is_chunks_turn else 0
        return plan_step(range(1000, 1000 + n_single), views, rules, n_room=n_room)

    def compute(self, plan: StepPlan) -> None:
        for seq_id, n_tokens in plan.prefill:
            self.chunks[seq_id].append(n_tokens)
            self.left[seq_id] -= n_tokens
            assert self.left[seq_id] >= 0, "a token was planned twice"
            if not self.left[seq_id]:
                del self.left[seq_id]


def prompts_of(lengths: list[int]) -> Prompts:
    prompts = Prompts()
    for n_tokens in lengths:
        prompts.add(n_tokens)
    return prompts


@given(
    lengths=st.lists(LENGTHS, max_size=12),
    n_single=st.integers(0, 20),
    rules=RULES,
    is_chunks_turn=st.booleans(),
)
def prop_a_plan_stays_within_its_bounds(
    lengths: list[int], n_single: int, rules: StepRules, is_chunks_turn: bool
) -> None:
    """Never more than n_batch; all single rows or none; prompt tokens bounded while others decode."""
    prompts = prompts_of(lengths)
    plan = prompts.plan(n_single, rules, is_chunks_turn=is_chunks_turn)

    assert plan.n_tokens <= rules.n_batch + n_single
    assert list(plan.decode) in ([], list(range(1000, 1000 + n_single)))
    assert plan.n_tokens or not (lengths or n_single), "there is work, and none is planned"
    assert rules.mixes or not (plan.decode and plan.prefill)
    n_prefilled = sum(chunk.n_tokens for chunk in plan.prefill)
    assert n_prefilled <= (max(rules.n_mixed, 3) if n_single else rules.n_batch)
    assert all(2 <= chunk.n_tokens <= rules.n_ubatch for chunk in plan.prefill)
    assert len({chunk.seq_id for chunk in plan.prefill}) == len(plan.prefill)
    prompts.compute(plan)


@given(
    lengths=st.lists(LENGTHS, min_size=1, max_size=12),
    steps=st.lists(st.tuples(st.integers(0, 20), RULES), min_size=1, max_size=8),
)
def prop_every_prompt_is_computed_whole_and_never_by_a_lone_token(
    lengths: list[int], steps: list[tuple[int, StepRules]]
) -> None:
    """Whatever the steps have room for; the bound on their number says that nobody starves."""
    prompts = prompts_of(lengths)
    n_steps = 0
    while prompts.left:
        n_single, rules = steps[n_steps % len(steps)]
        plan = prompts.plan(n_single, rules)
        oldest = next(iter(prompts.left))
        assert any(chunk.seq_id == oldest for chunk in plan.prefill), "the oldest prompt always gets on"
        prompts.compute(plan)
        n_steps += 1

    for seq_id, n_tokens in enumerate(lengths):
        assert sum(prompts.chunks[seq_id]) == n_tokens
        assert 1 not in prompts.chunks[seq_id]


@given(
    n_long=st.integers(50, 300),
    arrivals=st.lists(st.lists(st.integers(2, 6), max_size=4), min_size=30, max_size=60),
    rules=RULES,
)
def prop_short_prompts_that_keep_coming_do_not_starve_a_long_one(
    n_long: int, arrivals: list[list[int]], rules: StepRules
) -> None:
    prompts = prompts_of([n_long])
    for lengths in arrivals:
        for n_tokens in lengths:
            prompts.add(n_tokens)
        before = prompts.left.get(0)
        prompts.compute(prompts.plan(3, rules))
        assert before is None or prompts.left.get(0, 0) < before


@given(lengths=st.lists(st.integers(4, 300), min_size=2, max_size=8), share=st.integers(4, 40))
def prop_prompts_that_have_room_share_it_within_a_token_or_two(lengths: list[int], share: int) -> None:
    """Water-filling: nobody gets much less than another who got no more than it needed."""
    prompts = prompts_of(lengths)
    rules = StepRules(n_batch=share * len(lengths), n_ubatch=1000, n_mixed=1000, mixes=False, n_together=32)
    got = {chunk.seq_id: chunk.n_tokens for chunk in prompts.plan(0, rules).prefill}

    assert set(got) == set(range(len(lengths)))
    for seq_id, n_tokens in got.items():
        assert n_tokens >= min(lengths[seq_id], share - 1)


@given(
    lengths=st.dictionaries(st.integers(0, 15), LENGTHS | st.sampled_from([7, 8]), min_size=1), rules=RULES
)
def prop_no_token_of_a_chunk_is_computed_as_a_lone_row(lengths: dict[int, int], rules: StepRules) -> None:
    views = [PrefillView(seq_id, n_left) for seq_id, n_left in lengths.items()]
    plan = plan_step((), views, evolve(rules, mixes=False), n_room=rules.n_waited)
    seq_ids = [chunk.seq_id for chunk in plan.prefill for _ in range(chunk.n_tokens)]

    cut = split_equal(seq_ids, rules.n_ubatch)

    assert all(part.n_each >= 2 for part in cut)
    assert [row for part in cut for row in part.rows] == list(range(len(seq_ids))), "rows would be swapped"


@given(
    lengths=st.dictionaries(st.integers(0, 15), LENGTHS | st.sampled_from([7, 8]), min_size=1),
    n_single=st.integers(0, 3),
    rules=RULES,
)
def prop_the_calls_of_a_plan_compute_the_plan_and_none_of_them_is_less_exact(
    lengths: dict[int, int], n_single: int, rules: StepRules
) -> None:
    single = range(100, 100 + n_single)
    views = [PrefillView(seq_id, n_left) for seq_id, n_left in lengths.items()]
    roomy = evolve(rules, n_batch=rules.n_batch + n_single)
    plan = plan_step(single, views, roomy, n_room=rules.n_waited)

    parts = split_plan(plan, views, rules)

    assert sorted(chunk for part in parts for chunk in part.prefill) == sorted(plan.prefill)
    assert [list(part.decode) for part in parts] == [list(plan.decode), *([] for _ in parts[1:])]
    for part in parts[:-1]:
        assert sum(chunk.n_tokens for chunk in part.prefill) >= rules.n_together, "another could have joined"
    for part in parts:
        n_before = sum(chunk.n_tokens for chunk in part.prefill) - max(
            (chunk.n_tokens for chunk in part.prefill), default=0
        )
        assert n_before < rules.n_together, "somebody waits for another who has a call of its own"
        if not rules.mixes:
            seq_ids = [chunk.seq_id for chunk in part.prefill for _ in range(chunk.n_tokens)]
            assert all(cut.n_each >= 2 for cut in split_equal(seq_ids, rules.n_ubatch))
    ended = [
        [lengths[seq_id] for seq_id, n_tokens in part.prefill if n_tokens == lengths[seq_id]]
        for part in parts
    ]
    flat = [n_tokens for part in ended for n_tokens in sorted(part)]
    assert flat == sorted(flat), "a short prompt waits for a longer one"


@given(
    single=st.sets(st.integers(0, 11), min_size=1),
    n_seq=st.integers(12, 14),
    full=st.sets(st.integers(0, 13)),
)
def prop_a_row_stays_alone_only_where_both_neighbours_are_full(
    single: set[int], n_seq: int, full: set[int]
) -> None:
    bridges = plan_bridges(sorted(single), n_seq=n_seq, full=full)

    assert not single & set(bridges)
    assert not full & set(bridges)
    assert set(bridges) <= set(range(n_seq))
    assert len(bridges) <= len(single)
    for part in split_equal(sorted({*single, *bridges}), n_ubatch=64):
        if len(part.seq_ids) == 1:
            assert {part.seq_ids[0] - 1, part.seq_ids[0] + 1} & set(range(n_seq)) <= full


@given(
    turns=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40), st.integers(1, 12)), max_size=16),
    pads=st.booleans(),
    n_ubatch=st.integers(6, 32),
    n_mixed=st.integers(2, 32),
    n_together=st.integers(1, 40),
)
def prop_an_engine_never_computes_a_token_in_another_way_because_of_its_neighbours(
    turns: list[tuple[int, int, int]], pads: bool, n_ubatch: int, n_mixed: int, n_together: int
) -> None:
    """Turns come and go; each micro-batch holds single rows or chunks, and none alone where that matters."""
    backend = FakeBackend(FakeLanguage(end_one_in=9))
    with open_loop(
        backend,
        n_seq=6,
        ctx_per_seq=64,
        n_ubatch=n_ubatch,
        n_mixed=n_mixed,
        n_together=n_together,
        pads_lone_rows=pads,
    ) as rig:
        started: dict[int, int] = {}
        for seq_id, n_prompt, n_steps in turns:
            if seq_id not in {busy for turn_id, busy in started.items() if turn_id not in rig.ends}:
                turn_id = len(started)
                started[turn_id] = seq_id
                rig.start(turn_id, range(5, 5 + n_prompt), seq_id=seq_id, max_tokens=20)
            rig.run(n_steps=n_steps)
        rig.run()

        assert all(rig.outcome(turn_id) == rig.expected(turn_id) for turn_id in started)
    for batch in backend.batches:
        n_rows = Counter(batch.seq_ids)
        for part in split_equal(batch.seq_ids, n_ubatch):
            are_single = {n_rows[seq_id] == 1 for seq_id in part.seq_ids}
            assert are_single == {part.n_each == 1}
            if pads:
                assert len(part.rows) > 1
                assert len(set(batch.outputs) & set(part.rows)) != 1
