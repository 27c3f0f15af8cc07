"""The strategies: which schedules to run, and in which order.

A strategy is a value. ``choosers()`` opens a search: a generator that yields a chooser for each run, is sent
the record of that run, and returns whether every schedule within its bound has been run.

Source: bounded random walks and PCT as in shuttle (awslabs/shuttle, schedulers ``random`` and ``pct``); PCT
    itself
is Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010;
delay bounding is Emmi, Qadeer and Rakamarić, "Delay-bounded scheduling", POPL 2011.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

from attrs import define, field, frozen

from actorllama.testing.explorer.errors import UncontrolledNondeterminism
from actorllama.testing.explorer.record import RunRecord, decode_choices, encode_choices

__all__ = ["Chooser", "Strategy", "dfs", "fifo", "pct", "random", "replay"]

_STARVATION_LIMIT = 200  # choices that a ready task may lose in a row under PCT: spinning must not win
_MASK = (1 << 64) - 1

Search = Generator["Chooser", RunRecord, bool]


class Chooser(Protocol):
    """Decides one run."""

    def choose(self, ready: Sequence[int]) -> int:
        """Return the index of the task to step, among at least two, in the order of their wake-ups.

        The last may be `TIME`: to choose it moves the clock to the next deadline.
        """
        ...


class Strategy(Protocol):
    """Decides which runs there are."""

    def choosers(self) -> Search:
        """Open a search."""
        ...


def fifo() -> Strategy:
    """First come, first served: one run, the plainest."""
    return replay(())


def replay(choices: str | Sequence[int]) -> Strategy:
    """One run with these choices, then first come, first served.

    A choice is taken modulo the number of runnable tasks, so that any list of small integers is a schedule.

    Args:
        choices: A replay string, or the choices themselves.

    Raises:
        ValueError: The string is not a replay string, or a choice is negative.
    """
    listed = decode_choices(choices) if isinstance(choices, str) else tuple(choices)
    if any(choice < 0 for choice in listed):
        raise ValueError(f"choices are indices and cannot be negative: {listed!r}")
    return _Replay(choices=listed)


def random(seed: int = 0, *, n_runs: int = 100) -> Strategy:
    """Step any runnable task with equal chance; run ``i`` depends on ``seed`` and ``i`` only."""
    return _RandomWalk(seed=seed, n_runs=n_runs)


def pct(seed: int = 0, depth: int = 3, *, n_runs: int = 100) -> Strategy:
    """Step by random priorities that change at ``depth - 1`` random points.

    Finds a bug that needs ``depth`` ordered events among ``n`` tasks and ``k`` choices with chance at least
    ``1 / (n * k ** (depth - 1))`` per run, where a random walk would need long luck. The first run is first
    come, first served and measures ``k``.

    Raises:
        ValueError: ``depth`` is less than 1.
    """
    if depth < 1:
        raise ValueError(f"depth counts ordered events and is at least 1: {depth}")
    return _Pct(seed=seed, depth=depth, n_runs=n_runs)


def dfs(bound: int | None = None, *, max_runs: int = 10_000) -> Strategy:
    """Run every schedule whose delays sum up to at most ``bound``; all of them without a bound.

    Stepping the task at index ``i`` costs ``i`` delays: that many tasks, ready before it, wait one step more.

    Args:
        bound: The most delays in one run.
        max_runs: Where to give up; the report then says that the search is not complete.
    """
    return _DepthFirst(bound=bound, max_runs=max_runs)


@frozen(kw_only=True)
class _Replay:
    """See `replay`."""

    choices: tuple[int, ...]

    def choosers(self) -> Search:
        """Open a search of one run."""
        yield _Listed(choices=iter(self.choices))
        return False


@frozen(kw_only=True)
class _RandomWalk:
    """See `random`."""

    seed: int
    n_runs: int

    def choosers(self) -> Search:
        """Open a search of ``n_runs`` runs."""
        for run in range(self.n_runs):
            yield _Drawn(draw=_Draw(key=_mix(self.seed, run)))
        return False


@frozen(kw_only=True)
class _Pct:
    """See `pct`."""

    seed: int
    depth: int
    n_runs: int

    def choosers(self) -> Search:
        """Open a search of ``n_runs`` runs, the first of which measures."""
        record = yield _Listed(choices=iter(()))
        n_choices = max(1, len(record.options))
        for run in range(1, self.n_runs):
            draw = _Draw(key=_mix(self.seed, run))
            changes = {draw.below(n_choices): rank for rank in range(self.depth - 1)}
            record = yield _Prioritised(draw=draw, changes=changes)
            n_choices = max(n_choices, len(record.options))
        return False


@frozen(kw_only=True)
class _DepthFirst:
    """See `dfs`."""

    bound: int | None
    max_runs: int

    def choosers(self) -> Search:
        """Open a search that backtracks from the last choice."""
        prefix: tuple[int, ...] = ()
        options: tuple[int, ...] = ()
        for _ in range(self.max_runs):
            record = yield _Listed(choices=iter(prefix))
            n = len(prefix)
            if record.choices[:n] != prefix or record.options[:n] != options[:n]:
                raise UncontrolledNondeterminism(
                    what="a second run of the same choices met other runnable tasks",
                    replay=encode_choices(prefix),
                )
            following = _next_prefix(record, self.bound)
            if following is None:
                return True
            prefix, options = following, record.options
        return False


def _next_prefix(record: RunRecord, bound: int | None) -> tuple[int, ...] | None:
    """Return the next choices in depth-first order, or ``None`` when there are no more."""
    n_delays = sum(record.choices)
    for index in reversed(range(len(record.choices))):
        n_delays -= record.choices[index]
        choice = record.choices[index] + 1
        if choice < record.options[index] and (bound is None or n_delays + choice <= bound):
            return (*record.choices[:index], choice)
    return None


@define
class _Listed:
    choices: Iterator[int]

    def choose(self, ready: Sequence[int]) -> int:
        return next(self.choices, 0) % len(ready)


@define
class _Draw:
    """Counter-based random integers: the state is a key and a count."""

    key: int
    count: int = 0

    def below(self, limit: int) -> int:
        self.count += 1
        return _mix(self.key, self.count) % limit


@define
class _Drawn:
    draw: _Draw

    def choose(self, ready: Sequence[int]) -> int:
        return self.draw.below(len(ready))


@define
class _Prioritised:
    draw: _Draw
    changes: dict[int, int]
    n_choices: int = 0
    priorities: dict[int, int] = field(factory=dict[int, int])
    waiting_since: dict[int, int] = field(factory=dict[int, int])

    def choose(self, ready: Sequence[int]) -> int:
        self.waiting_since = {task: self.waiting_since.get(task, self.n_choices) for task in ready}
        for task in ready:
            if task not in self.priorities:
                self.priorities[task] = len(self.changes) + self.draw.below(_MASK)
        leader = self._leader(ready)
        rank = self.changes.get(self.n_choices)
        self.n_choices += 1
        if rank is not None:
            self.priorities[leader] = rank
            leader = self._leader(ready)
        del self.waiting_since[leader]
        return list(ready).index(leader)

    def _leader(self, ready: Sequence[int]) -> int:
        """Take the task with the highest priority; one that has starved gets that first."""
        eldest = min(ready, key=lambda task: self.waiting_since[task])
        if self.n_choices - self.waiting_since[eldest] > _STARVATION_LIMIT:
            self.priorities[eldest] = 1 + max(self.priorities.values())
        return max(ready, key=lambda task: self.priorities[task])


def _mix(key: int, count: int) -> int:
    """Mix two integers into 64 random bits.

    Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    z = (key * 0xD1342543DE82EF95 + count * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
