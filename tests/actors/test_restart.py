"""The pure decisions of supervisors."""

from __future__ import annotations

import pytest

from actorllama.actors import Backoff, Crash, ExitReason, Killed, Normal, Restart, Shutdown, decide_restart
from actorllama.actors.restart import is_restarted, plan_cascade


@pytest.mark.parametrize(
    ("times_s", "max_restarts", "period_s", "expected"),
    [
        ((), 0, 5.0, False),
        ((), 1, 5.0, True),
        ((5.0,), 1, 5.0, False),  # exactly a period ago still counts
        ((4.9,), 1, 5.0, True),
        ((1.0, 2.0, 6.0, 7.0), 3, 5.0, True),
        ((1.0, 5.0, 6.0, 7.0), 3, 5.0, False),
    ],
)
def test_a_restart_is_allowed_if_at_most_so_many_lie_within_the_period(
    times_s: tuple[float, ...], max_restarts: int, period_s: float, expected: bool
) -> None:
    decision = decide_restart(times_s, now_s=10.0, max_restarts=max_restarts, period_s=period_s)
    assert decision.is_allowed == expected
    assert decision.restarts_s == (*(then_s for then_s in times_s if then_s >= 5.0), 10.0)


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("x"), Killed(), Crash(ValueError())])
def test_transient_children_are_restarted_after_abnormal_ends_only(
    restart: Restart, reason: ExitReason
) -> None:
    is_abnormal = isinstance(reason, Killed | Crash)
    expected = {"permanent": True, "transient": is_abnormal, "temporary": False}[restart]
    assert is_restarted(restart, reason) == expected


def test_a_cascade_concerns_one_the_rest_or_all() -> None:
    assert plan_cascade("one_for_one", "abc", "b") == ("b",)
    assert plan_cascade("rest_for_one", "abc", "b") == ("b", "c")
    assert plan_cascade("one_for_all", "abc", "b") == ("a", "b", "c")


def test_back_off_grows_from_nothing_to_its_cap() -> None:
    backoff = Backoff(first_s=1.0, factor=3.0, max_s=10.0)
    assert [backoff.delay_s(n) for n in range(1, 6)] == [0.0, 1.0, 3.0, 9.0, 10.0]
