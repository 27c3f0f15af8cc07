"""``explore``: run a scenario under many schedules until one fails."""

from __future__ import annotations

import functools
import hashlib
from array import array
from collections.abc import Callable

import trio
from attrs import define, field, frozen

from actorllama.testing.explorer.errors import ExplorationRunning, ScheduleFailed, UncontrolledNondeterminism
from actorllama.testing.explorer.hooks import SchedulerHooks
from actorllama.testing.explorer.record import RunRecord
from actorllama.testing.explorer.run import Invariant, Scenario, run_schedule
from actorllama.testing.explorer.search import Chooser, Strategy, random, replay

__all__ = ["Exploration", "explore"]


@frozen(kw_only=True)
class Exploration:
    """What a search without a finding has covered."""

    n_runs: int
    n_distinct: int
    """How many of the runs differed in the order of their steps."""
    n_ticks: int
    max_ready: int
    """The most tasks that were runnable at once."""
    is_complete: bool
    """Whether every schedule within the strategy's bound was run (``dfs`` only)."""


def explore(
    scenario: Scenario,
    *,
    strategy: Strategy | Callable[[], Strategy] = random,
    invariant: Invariant | None = None,
    max_ticks: int = 10_000,
    lets_time_pass: bool = False,
    checks_determinism: bool = False,
    hooks: SchedulerHooks | None = None,
) -> Exploration:
    """Run an async scenario under many schedules, and fail with one that reproduces the failure.

    Each run is a ``trio.run`` of its own in which exactly one runnable task steps per tick, so that any task
    can be delayed for as long as the schedule wants; time is virtual and jumps when all tasks wait. The
    scenario must build everything that it uses: a run must not see what the run before it left.

    Args:
        scenario: An async function without arguments. It fails by raising.
        strategy: Which schedules to run: one of ``fifo``, ``random``, ``pct``, ``dfs``, ``replay``, called
            with its arguments or, where it needs none, by its name.
        invariant: Called before every step and after the last; a failure by raising. It must not change
            anything.
        max_ticks: The most steps of one run; more is a `Livelock`.
        lets_time_pass: Also let the clock reach the next deadline while tasks are runnable, as it does when
            a machine is slow: a timeout may then win against a reply that is ready. Without it time stands
            still until all tasks wait, and a scenario may rely on exact times.
        checks_determinism: Run every schedule twice and compare.
        hooks: The scheduler to explore; the installed trio's when absent.

    Returns:
        What was covered, when no run failed.

    Raises:
        ScheduleFailed: A run failed. It carries the original error (a `Deadlock` or `Livelock` among them)
            and the replay string, and was run a second time to make sure that the string reproduces it.
        UncontrolledNondeterminism: The same choices led to different runs, or a task waits for a thread.
        UnknownScheduler: The installed trio cannot be explored.
        ExplorationRunning: Called inside a run loop, or while another exploration is running.

    Cost: 10 to 20 µs per step on top of the scenario's own; twice that with ``checks_determinism``.
    """
    __tracebackhide__ = True  # pytest: show the caller's line and the words, not our insides
    if trio.lowlevel.in_trio_run():
        raise ExplorationRunning(where="a trio loop is running in this thread")
    explorer = _Explorer(
        scenario=scenario,
        hooks=_trio_hooks() if hooks is None else hooks,
        invariant=invariant,
        max_ticks=max_ticks,
        lets_time_pass=lets_time_pass,
        checks_determinism=checks_determinism,
    )
    if hooks is not None:
        hooks.self_test()
    return explorer.search(strategy() if callable(strategy) else strategy)


@functools.cache
def _trio_hooks() -> SchedulerHooks:
    """Return the installed trio's hooks, tested once per process."""
    hooks = SchedulerHooks.of_trio()
    hooks.self_test()
    return hooks


@define(kw_only=True)
class _Explorer:
    """Runs schedules and counts them."""

    scenario: Scenario
    hooks: SchedulerHooks
    invariant: Invariant | None
    max_ticks: int
    lets_time_pass: bool
    checks_determinism: bool
    n_runs: int = 0
    n_ticks: int = 0
    max_ready: int = 0
    seen: set[bytes] = field(factory=set[bytes])

    def search(self, strategy: Strategy) -> Exploration:
        """Run what the strategy asks for."""
        __tracebackhide__ = True
        choosers = strategy.choosers()
        is_complete = False
        try:
            chooser = next(choosers)
            while True:
                chooser = choosers.send(self._run_once(chooser))
        except StopIteration as stop:
            is_complete = bool(stop.value)
        return Exploration(
            n_runs=self.n_runs,
            n_distinct=len(self.seen),
            n_ticks=self.n_ticks,
            max_ready=self.max_ready,
            is_complete=is_complete,
        )

    def _run_once(self, chooser: Chooser) -> RunRecord:
        __tracebackhide__ = True
        record = self._run(chooser)
        self.n_runs += 1
        self.n_ticks += len(record.trace)
        self.max_ready = max(self.max_ready, *record.options, 1)
        self.seen.add(hashlib.blake2b(array("i", record.trace).tobytes(), digest_size=16).digest())
        if isinstance(record.error, UncontrolledNondeterminism):
            raise record.error
        if record.error is not None or self.checks_determinism:
            again = self._run_again(record)
            if record.error is not None:
                raise ScheduleFailed(
                    original=record.error,
                    replay=record.replay,
                    n_runs=self.n_runs,
                    needs_delay=record.needs_delay,
                    steps=again.steps,
                ) from record.error
        return record

    def _run_again(self, record: RunRecord) -> RunRecord:
        """Run the same choices once more and insist on the same outcome."""
        again = self._run(_first_chooser(record.replay), tells_steps=record.error is not None)
        if again.trace != record.trace or type(again.error) is not type(record.error):
            first = min(len(again.trace), len(record.trace))
            for tick, (one, other) in enumerate(zip(record.trace, again.trace, strict=False)):
                if one != other:
                    first = tick
                    break
            raise UncontrolledNondeterminism(
                what=f"a second run of the same choices went another way at step {first}: "
                f"it ended with {again.error!r}, the first with {record.error!r}",
                replay=record.replay,
            ) from record.error
        return again

    def _run(self, chooser: Chooser, *, tells_steps: bool = False) -> RunRecord:
        return run_schedule(
            self.scenario,
            chooser=chooser,
            hooks=self.hooks,
            invariant=self.invariant,
            max_ticks=self.max_ticks,
            lets_time_pass=self.lets_time_pass,
            tells_steps=tells_steps,
        )


def _first_chooser(text: str) -> Chooser:
    return next(replay(text).choosers())
