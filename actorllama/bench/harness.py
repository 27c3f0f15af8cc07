"""How every bench measures: sides in alternating order after a warm-up, medians with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from time import process_time
from typing import TypeVar

from attrs import frozen

__all__ = ["CpuMeter", "Spread", "in_turns"]

R = TypeVar("R")


@frozen(kw_only=True)
class Spread:
    """Figures of equal standing, one for each round; at least one."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Take figures in the order of their rounds.

        Raises:
            ValueError: There is none.
        """
        if not values:
            raise ValueError("a spread is of one figure at least")
        return cls(values=tuple(values))

    @classmethod
    def of_ratios(cls, ours: Sequence[float], bare: Sequence[float]) -> Spread:
        """Compare neighbours in time, round by round, so that a drift of the machine cancels."""
        return cls.of([one / other for one, other in zip(ours, bare, strict=True)])

    @property
    def median(self) -> float:
        """The middle."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Where the middle half begins and ends; with one figure both are that."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def to_json(self, name: str, *, n_digits: int = 6) -> dict[str, object]:
        """Give ``name`` (the median), and ``name_q1``, ``name_q3``, ``name_min``, ``name_max``."""
        low, high = self.quartiles
        figures = {
            name: self.median,
            f"{name}_q1": low,
            f"{name}_q3": high,
            f"{name}_min": min(self.values),
            f"{name}_max": max(self.values),
        }
        return {key: round(value, n_digits) for key, value in figures.items()}


class CpuMeter:
    """Adds up seconds of the processor, all threads of this process, and the tokens made meanwhile.

    Owner: the task that measures; nothing else may be measured at the same time.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self.cpu_s = 0.0
        self.n_tokens = 0

    @contextmanager
    def measuring(self, n_tokens: int = 0) -> Generator[None, None, None]:
        """Count the processor's time in the block, and so many tokens; more may be added with `add`."""
        began_s = process_time()
        yield
        self.cpu_s += process_time() - began_s
        self.n_tokens += n_tokens

    def add(self, n_tokens: int) -> None:
        """Count tokens that were made while it measured."""
        self.n_tokens += n_tokens

    def clear(self) -> None:
        """Forget all, as after a warm-up."""
        self.cpu_s, self.n_tokens = 0.0, 0

    @property
    def s_per_1000_tokens(self) -> float | None:
        """Seconds of the processor for 1,000 tokens; ``None`` if none was made."""
        return 1000 * self.cpu_s / self.n_tokens if self.n_tokens else None


async def in_turns(
    *sides: Callable[[int], Awaitable[R]], n_rounds: int, n_warm_up: int = 1, first: int = 0
) -> tuple[tuple[R, ...], ...]:
    """Measure all sides once in each round, in an order that is reversed from round to round.

    Whatever a side leaves behind (garbage, caches, a warm processor) meets the others as often as it meets
    itself, and neighbours in time are at equal index.

    Args:
        sides: Each takes the number of its round: negative in the warm-up, from ``first`` on after it.
        n_rounds: Rounds that count.
        n_warm_up: Rounds before them whose figures are dropped.
        first: Number of the first round that counts, where rounds are asked for one by one.

    Returns:
        For each side its figures, shape ``(n_sides, n_rounds)``.
    """
    found: list[list[R]] = [[] for _ in sides]
    places = list(range(len(sides)))
    for number in range(first - n_warm_up, first + n_rounds):
        for place in places if number % 2 == 0 else reversed(places):
            figure = await sides[place](number)
            if number >= first:
                found[place].append(figure)
    return tuple(tuple(figures) for figures in found)
