"""One run of a scenario: one task per tick, virtual time, and an end in every case."""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NoReturn, cast

import trio
import trio.testing
from attrs import define, field, frozen

from actorllama.testing.explorer.errors import Deadlock, Livelock, UncontrolledNondeterminism
from actorllama.testing.explorer.hooks import SchedulerHooks
from actorllama.testing.explorer.places import is_trios_own, living_tasks, name_of, place_of
from actorllama.testing.explorer.record import TIME, RunRecord, encode_choices
from actorllama.testing.explorer.search import Chooser

__all__ = ["Invariant", "Scenario", "run_schedule"]

Scenario = Callable[[], Awaitable[object]]
Invariant = Callable[[], object]

_WIND_DOWN_TICKS = 5_000
_N_STEPS_TOLD = 40


def run_schedule(
    scenario: Scenario,
    *,
    chooser: Chooser,
    hooks: SchedulerHooks,
    invariant: Invariant | None,
    max_ticks: int,
    lets_time_pass: bool = False,
    tells_steps: bool = False,
) -> RunRecord:
    """Run the scenario once in a `trio.run` of its own, under this chooser.

    A finding (an error, a broken invariant, a deadlock, too many ticks) is in the record, not raised. After a
    finding the scenario is cancelled and wound down first come, first served, so that its clean-up runs.

    Raises:
        BaseException: What is not an ``Exception`` (Ctrl-C, ``pytest.fail``) passes, with the replay as a
            note.
    """
    run = _Run(
        scenario=scenario,
        chooser=chooser,
        invariant=invariant,
        limits=_Limits(max_ticks=max_ticks, lets_time_pass=lets_time_pass, tells_steps=tells_steps),
    )
    error: Exception | None = None
    try:
        with hooks.installed(run.tick):
            trio.run(run.main, clock=run.clock)
    except Exception as raised:  # noqa: BLE001 -- whatever the scenario raises is the finding
        error = raised
    except BaseException as raised:
        if run.finding is None or not _is_ours(raised):
            raised.add_note(f"schedule: {encode_choices(run.choices)}")
            raise
    return run.record(run.finding or error)


class _Phase(enum.Enum):
    EXPLORING = enum.auto()
    WINDING_DOWN = enum.auto()


class _Abandoned(BaseException):
    """Thrown into tasks that ignore cancellation after a finding, so that no run hangs."""


def _is_ours(raised: BaseException) -> bool:
    """Tell whether nothing but our own unwinding is in this error."""
    if isinstance(raised, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", raised)
        return all(_is_ours(leaf) for leaf in group.exceptions)
    return isinstance(raised, _Abandoned | Exception)


def _raise_abandoned() -> NoReturn:
    raise _Abandoned


@frozen(kw_only=True)
class _Limits:
    max_ticks: int
    lets_time_pass: bool
    tells_steps: bool


@define(kw_only=True)
class _Run:
    """The state of one run; owned by the function above."""

    scenario: Scenario
    chooser: Chooser
    invariant: Invariant | None
    limits: _Limits
    clock: trio.testing.MockClock = field(factory=lambda: trio.testing.MockClock(autojump_threshold=0))
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    phase: _Phase = _Phase.EXPLORING
    has_started: bool = False
    is_inside: bool = False
    finding: Exception | None = None
    n_ticks: int = 0
    needs_delay: bool = False
    waiting: list[trio.lowlevel.Task] = field(factory=list[trio.lowlevel.Task])
    round: set[trio.lowlevel.Task] = field(factory=set[trio.lowlevel.Task])
    ordinals: dict[trio.lowlevel.Task, int] = field(factory=dict[trio.lowlevel.Task, int])
    choices: list[int] = field(factory=list[int])
    options: list[int] = field(factory=list[int])
    trace: list[int] = field(factory=list[int])
    steps: deque[str] = field(factory=lambda: deque[str](maxlen=_N_STEPS_TOLD))

    async def main(self) -> None:
        """Run the scenario where it can be cancelled, and know when choices matter."""
        await trio.lowlevel.checkpoint()  # trio's own tasks have settled after this: they are no choice
        with self.scope:
            self.has_started = self.is_inside = True
            try:
                await self.scenario()
            finally:
                self.is_inside = False

    def record(self, error: Exception | None) -> RunRecord:
        """Freeze what happened."""
        return RunRecord(
            choices=tuple(self.choices),
            options=tuple(self.options),
            trace=tuple(self.trace),
            error=error,
            needs_delay=self.needs_delay,
            steps=tuple(self.steps),
        )

    def tick(self, ready: list[trio.lowlevel.Task]) -> list[trio.lowlevel.Task]:
        """Choose the one task that steps now; this is the hook inside trio's loop."""
        if not ready:
            self._when_idle()
            return []
        self.n_ticks += 1
        self._check(ready)
        queue = self._in_order(ready)
        index = self._choose(queue)
        if index == len(queue):
            self._pass_time(queue)
            return []
        task = queue.pop(index)
        self.waiting = queue
        self._note(task, len(queue) + 1)
        return [task]

    def _in_order(self, ready: list[trio.lowlevel.Task]) -> list[trio.lowlevel.Task]:
        """Order tasks by when they became runnable, and those of one moment by age.

        Trio's own order is by age only, and sets decide the order of wake-ups inside it; this order depends
        on neither addresses nor hashes.
        """
        known = set(self.waiting)
        return [*self.waiting, *(task for task in ready if task not in known)]

    def _choose(self, queue: list[trio.lowlevel.Task]) -> int:
        """Ask the chooser, if there is a choice; one past the last task means that time passes."""
        if not self.is_inside or self.phase is not _Phase.EXPLORING:
            return 0
        ordinals = [self._ordinal(task) for task in queue]
        if self.limits.lets_time_pass and 0 < self._to_next_deadline_s() < math.inf:
            ordinals.append(TIME)
        if len(ordinals) == 1:
            return 0
        index = self.chooser.choose(ordinals)
        self.options.append(len(ordinals))
        self.choices.append(index)
        return index

    def _pass_time(self, queue: list[trio.lowlevel.Task]) -> None:
        """Move the clock to the next deadline while tasks are runnable: they are slow."""
        self.waiting = queue
        self.trace.append(TIME)
        if self.limits.tells_steps:
            self.steps.append(f"{self.n_ticks}. time passes: {self._to_next_deadline_s():g} s")
        self.clock.jump(self._to_next_deadline_s())

    @staticmethod
    def _to_next_deadline_s() -> float:
        return trio.lowlevel.current_statistics().seconds_to_next_deadline

    def _ordinal(self, task: trio.lowlevel.Task) -> int:
        return self.ordinals.setdefault(task, len(self.ordinals))

    def _note(self, task: trio.lowlevel.Task, n_ready: int) -> None:
        """Keep the trace, and whether trio's own rounds (each runnable task once) allow it."""
        if self.phase is not _Phase.EXPLORING:
            return
        ordinal = self._ordinal(task)
        self.trace.append(ordinal)
        if not self.round:
            self.round = {task, *self.waiting}
        self.needs_delay = self.needs_delay or task not in self.round
        self.round.discard(task)
        if self.limits.tells_steps and not is_trios_own(task):
            self.steps.append(f"{self.n_ticks}. ({n_ready} ready) {self._told(task)}")

    def _check(self, ready: list[trio.lowlevel.Task]) -> None:
        """Look at the bounds and the invariant, before each step."""
        if self.phase is _Phase.EXPLORING:
            if self.n_ticks > self.limits.max_ticks:
                self._found(Livelock(max_ticks=self.limits.max_ticks, blocked=self._standing()))
            elif self.invariant is not None and self.has_started:
                try:
                    self.invariant()
                except Exception as broken:  # noqa: BLE001 -- whatever an invariant raises is the finding
                    self._found(broken)
        elif self.n_ticks > 2 * _WIND_DOWN_TICKS:
            raise _Abandoned  # wrecks this trio.run, which cannot be ended otherwise
        elif self.n_ticks > _WIND_DOWN_TICKS:
            self._force(ready)

    def _when_idle(self) -> None:
        """Find out whether anything can ever happen again."""
        if trio.testing.active_thread_count() or self._n_io_waits() > 1:  # one is trio's own wake-up socket
            if self.phase is _Phase.EXPLORING:
                what = "a task waits for a thread or for I/O:\n" + "\n".join(self._standing())
                self._found(UncontrolledNondeterminism(what=what, replay=encode_choices(self.choices)))
        elif self._to_next_deadline_s() < math.inf:
            return
        elif self.phase is _Phase.EXPLORING:
            self._found(Deadlock(blocked=self._standing()))
        else:
            self.n_ticks += 1
            self._check([])
            self._force([])

    def _n_io_waits(self) -> int:
        """Count the tasks that wait for the operating system; the names differ by platform."""
        statistics = trio.lowlevel.current_statistics().io_statistics
        names = ("tasks_waiting", "tasks_waiting_read", "tasks_waiting_write")
        return sum(cast("int", getattr(statistics, name, 0)) for name in names)

    def _standing(self) -> list[str]:
        return [self._told(task) for task in living_tasks() if task in self.ordinals]

    def _told(self, task: trio.lowlevel.Task) -> str:
        return f"{name_of(task)} #{self.ordinals[task]} at {place_of(task)}"

    def _found(self, finding: Exception) -> None:
        self.finding = finding
        self.phase = _Phase.WINDING_DOWN
        self.n_ticks = 0
        self.scope.cancel(reason="the exploration has found a failure")

    def _force(self, ready: list[trio.lowlevel.Task]) -> None:
        """Throw into every task, shielded or not, waiting or spinning: cancellation was ignored."""
        for task in list(living_tasks()):
            if task in ready:
                task._next_send_fn, task._next_send = task.coro.throw, _Abandoned()  # noqa: SLF001 -- as below
            elif task._abort_func is not None:  # noqa: SLF001 -- trio has no public way to end a shielded task
                task._attempt_abort(_raise_abandoned)  # noqa: SLF001 -- as above
