"""The runtime's steps and bare ones in turns, a few of each, within the same turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise
from time import perf_counter
from typing import Final

from attrs import frozen

from actorllama.bench.harness import CpuMeter
from actorllama.engine import StepPart

__all__ = ["N_BLOCK", "BlockPair", "StepBlocks", "pairs_within"]

N_BLOCK: Final = 16
"""Steps in a row of one side."""

_N_LEFT_OUT: Final = 4  # of each: caches, a report, a thread that spins are the other's still


@frozen(kw_only=True)
class BlockPair:
    """Neighbours in time: steps of the runtime, and as many bare ones behind them."""

    began_s: float
    """When the first step of the runtime that counts was begun, in seconds of ``perf_counter``."""
    ended_s: float
    """When its last one was over."""
    runtime_step_s: float
    """Seconds from step to step."""
    bare_step_s: float

    @property
    def ratio(self) -> float:
        """Speed of the runtime, of that of the bare loop."""
        return self.bare_step_s / self.runtime_step_s


class StepBlocks:
    """A probe that runs a block of bare steps behind each block of the runtime's.

    A machine that others share changes its speed within a second: what is compared must be as near as that.
    Whole rounds of one side after whole ones of the other scattered by 2 % (0.5b) and 4 % (15m) from run to
    run; this scatters by 1 % and less. The first steps of a block do not count.

    The engine's clock (``clock``) stands still meanwhile, so that the runtime reports after as many of its
    own steps as without.

    Owner: the host's thread while it takes steps; ``begin`` and ``take`` while it takes none.
    """

    def __init__(self, *, now: Callable[[], float] = perf_counter) -> None:
        """Do nothing before ``begin``."""
        self._now = now
        self._bare_step: Callable[[int], None] | None = None
        self._cpu = CpuMeter()
        self._n_seq = self._n_done = self._n_steps = 0
        self._called_at_s: list[float] = []
        self._pairs: list[BlockPair] = []
        self._paused_s = 0.0

    def clock(self) -> float:
        """Return the seconds that were not spent on bare steps."""
        return self._now() - self._paused_s

    def begin(self, bare_step: Callable[[int], None], *, n_steps: int, n_seq: int, cpu: CpuMeter) -> None:
        """Run bare steps from now on.

        Args:
            bare_step: Computes the step of this number, from 0 on.
            n_steps: Bare steps at most; then the runtime goes on alone.
            n_seq: Tokens of each.
            cpu: Is told what they cost.
        """
        self._bare_step, self._cpu = bare_step, cpu
        self._n_seq, self._n_done, self._n_steps = n_seq, 0, n_steps
        self._called_at_s, self._pairs = [], []

    def take(self) -> Sequence[BlockPair]:
        """Run no bare steps any more, and return what was measured."""
        self._bare_step = None
        return self._pairs

    def __call__(self, part: StepPart) -> None:
        """Run bare steps if ``llama_decode`` is next and a block of the runtime's is full."""
        if part != "decode" or self._bare_step is None:
            return
        now_s = self._now()
        self._called_at_s.append(now_s)
        if len(self._called_at_s) <= N_BLOCK or self._n_done + N_BLOCK > self._n_steps:
            return
        called_at_s = self._called_at_s[_N_LEFT_OUT:]
        self._pairs.append(
            BlockPair(
                began_s=called_at_s[0],
                ended_s=called_at_s[-1],
                runtime_step_s=(called_at_s[-1] - called_at_s[0]) / (len(called_at_s) - 1),
                bare_step_s=self._bare_block(self._bare_step),
            )
        )
        ended_s = self._now()
        self._paused_s += ended_s - now_s
        self._called_at_s = [ended_s]

    def _bare_block(self, bare_step: Callable[[int], None]) -> float:
        marks = [self._now()]
        with self._cpu.measuring(N_BLOCK * self._n_seq):
            for number in range(self._n_done, self._n_done + N_BLOCK):
                bare_step(number)
                marks.append(self._now())
        self._n_done += N_BLOCK
        steps = [end - begin for begin, end in pairwise(marks)]
        return statistics.mean(steps[_N_LEFT_OUT:])


def pairs_within(pairs: Sequence[BlockPair], *, first_s: float, last_s: float) -> Sequence[BlockPair]:
    """Return the pairs whose steps of the runtime lie within a span of time.

    Args:
        pairs: As they came.
        first_s: What began before does not count: not all turns had begun.
        last_s: Nor does what ended after it: some turn had ended.
    """
    return [pair for pair in pairs if first_s <= pair.began_s and pair.ended_s <= last_s]
