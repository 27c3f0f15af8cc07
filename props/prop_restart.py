"""The restart rules as pure functions, against brute force."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorllama.actors.restart import decide_restart, plan_cascade
from props.oracles import count_in_window


@given(
    gaps=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]), max_size=20),
    max_restarts=st.integers(0, 4),
    period_s=st.sampled_from([0.5, 1.0, 5.0]),
)
def prop_the_intensity_window_is_a_brute_force_count(
    gaps: list[float], max_restarts: int, period_s: float
) -> None:
    now_s = 0.0
    all_s: list[float] = []
    kept: tuple[float, ...] = ()
    for gap in gaps:
        now_s += gap
        all_s.append(now_s)
        decision = decide_restart(kept, now_s=now_s, max_restarts=max_restarts, period_s=period_s)
        n_in_window = count_in_window(all_s, now=now_s, period_s=period_s)
        assert decision.is_allowed == (n_in_window <= max_restarts)
        assert len(decision.restarts_s) == n_in_window
        kept = decision.restarts_s


@given(st.lists(st.integers(), unique=True, min_size=1, max_size=6), st.data())
def prop_a_cascade_is_the_child_its_followers_or_everybody(children: list[int], data: st.DataObject) -> None:
    dead = data.draw(st.sampled_from(children))
    assert plan_cascade("one_for_one", children, dead) == (dead,)
    assert plan_cascade("rest_for_one", children, dead) == tuple(children[children.index(dead) :])
    assert plan_cascade("one_for_all", children, dead) == tuple(children)
