"""A plan that is computed in several calls, so that the first prompts do not wait for the last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from actorllama.engine.plan import PrefillView, StepPlan, StepRules, split_plan
from actorllama.native.memory_devices import BufferSize

__all__ = ["PlanParts", "enough_together"]

_ENOUGH_ON_CPU: Final = 32
"""Measured: with 33 tokens a call takes a quarter of what it takes with four prompts of 33 (15m, 0.5b)."""
_ALL: Final = 1 << 20


def enough_together(asked: int, buffers: Iterable[BufferSize]) -> int:
    """Say how many prompt tokens fill a call.

    A GPU computes hundreds of tokens as soon as one, for it waits for the weights meanwhile; a CPU does not.

    Args:
        asked: The option; 0 leaves it to the processor.
        buffers: Where the weights lie.
    """
    if asked:
        return asked
    is_on_cpu = all(buffer.what != "model" or buffer.is_of_host for buffer in buffers)
    return _ENOUGH_ON_CPU if is_on_cpu else _ALL


class PlanParts:
    """What is left of the plan that was made last.

    It is finished before another is made, so whoever came meanwhile does not go before those who waited; but
    for one that was made while nobody decoded, and would keep those waiting too long who decode now.

    Owner: the engine loop.
    """

    def __init__(self, rules: StepRules) -> None:
        """Begin with nothing."""
        self._rules = rules
        self._waiting: deque[StepPlan] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether parts of a plan are still to be computed."""
        return bool(self._waiting)

    def begin(self, plan: StepPlan, prefilling: Sequence[PrefillView]) -> StepPlan:
        """Return the first part of a new plan; the others wait for `next_part`."""
        first, *others = split_plan(plan, prefilling, self._rules)
        self._waiting.extend(others)
        return first

    def next_part(self, *, n_most: int | None) -> StepPlan | None:
        """Return the part that is computed next; ``None`` if another plan must be made.

        Args:
            n_most: Prompt tokens that may be computed now; ``None`` if nobody waits for them.
        """
        if self._waiting and n_most is not None and self._waiting[0].n_tokens > n_most:
            self._waiting.clear()
        return self._waiting.popleft() if self._waiting else None

    def forget(self, seq_id: int) -> None:
        """Leave out what waits of a sequence: its turn has ended, or is to be planned anew."""
        for _ in range(len(self._waiting)):
            part = self._waiting.popleft()
            prefill = tuple(chunk for chunk in part.prefill if chunk.seq_id != seq_id)
            if prefill:
                self._waiting.append(StepPlan(part.decode, prefill))
