"""What a supervisor decides, as pure functions from values to values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, TypeVar, assert_never

from attrs import frozen

from actorllama.actors.reason import ExitReason, is_normal
from actorllama.actors.spec import Restart
from actorllama.errors import ConfigError

__all__ = ["Backoff", "RestartDecision", "Strategy", "decide_restart", "is_restarted", "plan_cascade"]

Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
T = TypeVar("T")
STRATEGIES: Final = ("one_for_one", "rest_for_one", "one_for_all")


@frozen(kw_only=True)
class RestartDecision:
    """Whether one more restart is tolerated, and the restarts that count from now on."""

    is_allowed: bool
    restarts_s: tuple[float, ...]


@frozen(kw_only=True)
class Backoff:
    """Wait before a restart that is not the first within the period: ``first_s * factor ** n``, capped.

    OTP has none. Worth it when a restart itself is dear or hopeless for a while: a GPU out of memory.
    """

    first_s: float = 0.1
    factor: float = 2.0
    max_s: float = 10.0

    def __attrs_post_init__(self) -> None:
        """Check the bounds."""
        for name, value, least in (
            ("first_s", self.first_s, 0.0),
            ("factor", self.factor, 1.0),
            ("max_s", self.max_s, self.first_s),
        ):
            if value < least:
                raise ConfigError(field=name, value=value, source="Backoff", hint=f"At least {least}.")

    def delay_s(self, n_restarts: int) -> float:
        """Seconds to wait before the n-th restart of the period, counted from 1; the first is immediate."""
        return 0.0 if n_restarts <= 1 else min(self.max_s, self.first_s * self.factor ** (n_restarts - 2))


def decide_restart(
    restarts_s: Sequence[float], *, now_s: float, max_restarts: int, period_s: float
) -> RestartDecision:
    """Count one more restart and say whether the supervisor may go on.

    OTP's rule (``add_restart/3``): keep the restarts not older than the period, its edge included, add
    this one, and allow it if there are at most ``max_restarts``. OTP counts in whole seconds, we in
    fractions; the comparison is inclusive in both.

    Args:
        restarts_s: Times of earlier restarts of any child, oldest first.
        now_s: The time of this one.
        max_restarts: Restarts tolerated within the period; 0 tolerates none.
        period_s: Length of the window.

    Source: erlang/otp lib/stdlib/src/supervisor.erl, ``add_restart``.
    """
    kept = (*(then_s for then_s in restarts_s if then_s >= now_s - period_s), now_s)
    return RestartDecision(is_allowed=len(kept) <= max_restarts, restarts_s=kept)


def is_restarted(restart: Restart, reason: ExitReason) -> bool:
    """Say whether a child that ended so is started again (rules P2, V5)."""
    return restart == "permanent" or (restart == "transient" and not is_normal(reason))


def plan_cascade(strategy: Strategy, children: Sequence[T], dead: T) -> tuple[T, ...]:
    """List the children that a restart of ``dead`` concerns, in start order, itself included.

    They are stopped in the reverse order and started in this one (rule V10).
    """
    match strategy:
        case "one_for_one":
            return (dead,)
        case "rest_for_one":
            return tuple(children[children.index(dead) :])
        case "one_for_all":
            return tuple(children)
        case _:
            assert_never(strategy)
