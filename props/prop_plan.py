"""The step planner: within its bounds, whole prompts, nobody starved."""

from __future__ import annotations

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from actorllama.engine.plan import PrefillView, StepPlan, plan_step

LENGTHS = st.integers(1, 300)
ROOM = st.integers(3, 96)  # what a batch has beyond the decoders


@define
class Prompts:
    """Prompts by sequence id, oldest first, and what was planned for each: the plainest bookkeeping."""

    left: dict[int, int] = field(factory=dict[int, int])
    chunks: dict[int, list[int]] = field(factory=dict[int, list[int]])

    def add(self, n_tokens: int) -> None:
        seq_id = len(self.chunks)
        self.left[seq_id] = n_tokens
        self.chunks[seq_id] = []

    def plan(self, n_decoding: int, room: int, n_mixed: int) -> StepPlan:
        views = [PrefillView(seq_id, n_left) for seq_id, n_left in self.left.items()]
        decoding = range(1000, 1000 + n_decoding)
        return plan_step(decoding, views, n_batch=n_decoding + room, n_mixed=n_mixed)

    def compute(self, plan: StepPlan) -> None:
        for seq_id, n_tokens in plan.prefill:
            self.chunks[seq_id].append(n_tokens)
            self.left[seq_id] -= n_tokens
            assert self.left[seq_id] >= 0, "a token was planned twice"
            if not self.left[seq_id]:
                del self.left[seq_id]


@given(
    lengths=st.lists(LENGTHS, max_size=12),
    n_decoding=st.integers(0, 20),
    room=ROOM,
    n_mixed=st.integers(2, 99),
)
def prop_a_plan_stays_within_its_bounds(lengths: list[int], n_decoding: int, room: int, n_mixed: int) -> None:
    """Never more than n_batch; every decoder once; prompt tokens bounded while others decode."""
    prompts = Prompts()
    for n_tokens in lengths:
        prompts.add(n_tokens)
    plan = prompts.plan(n_decoding, room, n_mixed)

    assert plan.n_tokens <= n_decoding + room
    assert list(plan.decode) == list(range(1000, 1000 + n_decoding))
    n_prefilled = sum(chunk.n_tokens for chunk in plan.prefill)
    assert n_prefilled <= (min(room, max(n_mixed, 3)) if n_decoding else room)
    assert len({chunk.seq_id for chunk in plan.prefill}) == len(plan.prefill)
    prompts.compute(plan)


@given(
    lengths=st.lists(LENGTHS, min_size=1, max_size=12),
    rooms=st.lists(st.tuples(st.integers(0, 20), ROOM), min_size=1, max_size=8),
    n_mixed=st.integers(2, 99),
)
def prop_every_prompt_is_computed_whole_and_never_by_a_lone_token(
    lengths: list[int], rooms: list[tuple[int, int]], n_mixed: int
) -> None:
    """Whatever the steps have room for; the bound on their number says that nobody starves."""
    prompts = Prompts()
    for n_tokens in lengths:
        prompts.add(n_tokens)
    n_steps = 0
    while prompts.left:
        n_decoding, room = rooms[n_steps % len(rooms)]
        plan = prompts.plan(n_decoding, room, n_mixed)
        oldest = next(iter(prompts.left))
        assert any(chunk.seq_id == oldest for chunk in plan.prefill), "the oldest prompt always gets on"
        prompts.compute(plan)
        n_steps += 1

    for seq_id, n_tokens in enumerate(lengths):
        assert sum(prompts.chunks[seq_id]) == n_tokens
        assert 1 not in prompts.chunks[seq_id] or n_tokens == 1


@given(
    n_long=st.integers(50, 300),
    arrivals=st.lists(st.lists(st.integers(1, 6), max_size=4), min_size=30, max_size=60),
    room=ROOM,
    n_mixed=st.integers(2, 20),
)
def prop_short_prompts_that_keep_coming_do_not_starve_a_long_one(
    n_long: int, arrivals: list[list[int]], room: int, n_mixed: int
) -> None:
    prompts = Prompts()
    prompts.add(n_long)
    for lengths in arrivals:
        for n_tokens in lengths:
            prompts.add(n_tokens)
        before = prompts.left.get(0)
        prompts.compute(prompts.plan(3, room, n_mixed))
        assert before is None or prompts.left.get(0, 0) < before


@given(lengths=st.lists(st.integers(4, 300), min_size=2, max_size=8), share=st.integers(4, 40))
def prop_prompts_that_have_room_share_it_within_a_token_or_two(lengths: list[int], share: int) -> None:
    """Water-filling: nobody gets much less than another who got no more than it needed."""
    prompts = Prompts()
    for n_tokens in lengths:
        prompts.add(n_tokens)
    plan = prompts.plan(0, share * len(lengths), 1000)
    got = {chunk.seq_id: chunk.n_tokens for chunk in plan.prefill}

    assert set(got) == set(range(len(lengths)))
    for seq_id, n_tokens in got.items():
        assert n_tokens >= min(lengths[seq_id], share - 1)
