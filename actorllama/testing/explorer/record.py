"""What one run leaves behind, and the string that brings it back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from attrs import frozen

__all__ = ["TIME", "RunRecord", "decode_choices", "encode_choices"]

TIME = -1
"""Stands for the clock where tasks are named by their order of appearance."""

_PREFIX = "s1:"


@frozen(kw_only=True)
class RunRecord:
    """One schedule and how it ended.

    ``choices[i]`` is the index taken among ``options[i]`` runnable tasks, in the order in which they became
    runnable; only ticks with at least two runnable tasks are choices. ``trace`` names the task of every step
    by its order of appearance. `TIME` where the clock moved instead. Equal traces mean equal schedules.
    """

    choices: tuple[int, ...]
    options: tuple[int, ...]
    trace: tuple[int, ...]
    error: Exception | None
    needs_delay: bool
    steps: tuple[str, ...]

    @property
    def replay(self) -> str:
        """The string that reproduces this run."""
        return encode_choices(self.choices)


def encode_choices(choices: Sequence[int]) -> str:
    """Write choices as a short string, such as ``s1:1.0x4.2``.

    Trailing zeros are left out: choices that have run out mean first come, first served.
    """
    runs = [(choice, sum(1 for _ in group)) for choice, group in itertools.groupby(choices)]
    if runs and runs[-1][0] == 0:
        runs.pop()
    return _PREFIX + ".".join(f"{choice}x{n}" if n > 1 else str(choice) for choice, n in runs)


def decode_choices(text: str) -> tuple[int, ...]:
    """Read what `encode_choices` wrote.

    Raises:
        ValueError: The text is not a replay string.
    """
    if not text.startswith(_PREFIX):
        raise ValueError(f"not a replay string: {text!r}. It begins with {_PREFIX!r}; copy it whole.")
    choices: list[int] = []
    for part in filter(None, text.removeprefix(_PREFIX).split(".")):
        choice, _, times = part.partition("x")
        if not choice.isdecimal() or not (times or "1").isdecimal():
            raise ValueError(f"not a replay string: {text!r}, at {part!r}. Copy it whole.")
        choices += [int(choice)] * int(times or "1")
    return tuple(choices)
