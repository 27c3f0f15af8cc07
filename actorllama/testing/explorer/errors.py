"""What an exploration can find, and what can stand in its way.

::

    ActorLlamaError
    ├─ ScheduleFailed (AssertionError)     .original .replay .n_runs .needs_delay .steps
    ├─ Deadlock (AssertionError)           .blocked
    ├─ Livelock (AssertionError)           .max_ticks .blocked
    ├─ UncontrolledNondeterminism          .what .replay
    ├─ UnknownScheduler                    .trio_version .problem
    └─ ExplorationRunning                  .where
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from actorllama.errors import ActorLlamaError

__all__ = [
    "Deadlock",
    "ExplorationRunning",
    "Livelock",
    "ScheduleFailed",
    "UncontrolledNondeterminism",
    "UnknownScheduler",
]


class ScheduleFailed(ActorLlamaError, AssertionError):
    """A schedule was found under which the scenario fails.

    The error that the scenario (or the invariant, or the deadlock check) raised is ``original`` and the
    cause.
    """

    def __init__(
        self, *, original: Exception, replay: str, n_runs: int, needs_delay: bool, steps: Sequence[str]
    ) -> None:
        """Keep the finding and the string that reproduces it."""
        self.original = original
        self.replay = replay
        self.n_runs = n_runs
        self.needs_delay = needs_delay
        self.steps = tuple(steps)
        delay = (
            "It delays a runnable task by more than one turn: trio may do so, though today's loop does not."
            if needs_delay
            else "Today's trio can run the tasks in this order."
        )
        tail = "\n".join(f"  {step}" for step in self.steps)
        super().__init__(
            f"schedule {n_runs} fails: {_summary(original)}\n{delay}\nlast steps:\n{tail}\n"
            f"Run it again with explore(..., strategy=replay({replay!r}))."
        )


class Deadlock(ActorLlamaError, AssertionError):
    """Every task waits, and no deadline can wake one of them."""

    def __init__(self, *, blocked: Sequence[str]) -> None:
        """Say who waits where."""
        self.blocked = tuple(blocked)
        waiting = "\n".join(f"  {task}" for task in self.blocked)
        super().__init__(
            f"all tasks are blocked and no deadline is set:\n{waiting}\n"
            "Find the wake-up that one of them waits for, or give the wait a deadline."
        )


class Livelock(ActorLlamaError, AssertionError):
    """The scenario took more steps than its bound allows."""

    def __init__(self, *, max_ticks: int, blocked: Sequence[str]) -> None:
        """Give the bound, and where the tasks stood when it was reached."""
        self.max_ticks = max_ticks
        self.blocked = tuple(blocked)
        standing = "\n".join(f"  {task}" for task in self.blocked)
        super().__init__(
            f"the scenario did not end within {max_ticks} steps:\n{standing}\n"
            "Look for tasks that wake each other for ever, or raise max_ticks."
        )


class UncontrolledNondeterminism(ActorLlamaError):
    """The same choices led to different runs, so that nothing found here could be reproduced."""

    def __init__(self, *, what: str, replay: str) -> None:
        """Say what differed, and under which choices."""
        self.what = what
        self.replay = replay
        super().__init__(
            f"{what} (choices {replay!r}). Keep threads, sockets, the real clock, hash order and state from "
            "outside the scenario out of it: inject a fake that completes at a scheduled step."
        )


class UnknownScheduler(ActorLlamaError):
    """The installed trio lacks, or no longer obeys, the hooks that exploring needs."""

    def __init__(self, *, trio_version: str, problem: str) -> None:
        """Name the trio and what is wrong with it."""
        self.trio_version = trio_version
        self.problem = problem
        super().__init__(
            f"schedules of trio {trio_version} cannot be explored: {problem}. "
            "Use a trio that actorllama was tested with, or report this version."
        )


class ExplorationRunning(ActorLlamaError, RuntimeError):
    """``explore`` was called where a run loop or another exploration is active."""

    def __init__(self, *, where: str) -> None:
        """Say what is active."""
        self.where = where
        super().__init__(f"explore() starts its own trio.run and {where}. Call it from a synchronous test.")


def _summary(error: BaseException) -> str:
    """Show an error by type and words; of foreign words the first line is enough."""
    error = _only_leaf(error)
    words = str(error)
    if not isinstance(error, Deadlock | Livelock):
        words = words.partition("\n")[0]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _only_leaf(error: BaseException) -> BaseException:
    """Look through groups of one."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return _only_leaf(group.exceptions[0]) if len(group.exceptions) == 1 else group
    return error
