"""What the engine's laws draw: texts with their stop strings, and programs of turns."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen
from hypothesis import strategies as st

__all__ = ["TurnProgram", "cuts", "programs_of_turns", "stop_strings", "texts"]

# Few letters, so that stop strings overlap with the text, themselves and each other.
_LETTERS = "aab€🦙ö"

Manner: TypeAlias = Literal["complete", "read", "read slowly", "leave early", "never read"]
MANNERS: tuple[Manner, ...] = ("complete", "complete", "read", "read slowly", "leave early", "never read")


@frozen(kw_only=True)
class TurnProgram:
    """One caller: what it asks for, and how it behaves."""

    prompt: str
    max_tokens: int
    temperature: float
    seed: int
    stop: tuple[str, ...]
    manner: Manner
    window: int
    starts_at_s: float
    """When it asks, in virtual time."""
    leaves_at_s: float | None
    """When it is cancelled, if it is still there."""


def texts() -> st.SearchStrategy[str]:
    """Draw texts of few letters, of one to four bytes each."""
    return st.text(_LETTERS, max_size=30)


def stop_strings() -> st.SearchStrategy[tuple[str, ...]]:
    """Draw stop strings that are likely to occur, overlap and contain each other."""
    return st.lists(st.text(_LETTERS, min_size=1, max_size=5), max_size=3).map(tuple)


def cuts() -> st.SearchStrategy[tuple[int, ...]]:
    """Draw lengths of pieces; they are used over and over."""
    return st.lists(st.integers(0, 7), min_size=1, max_size=8).map(tuple)


def programs_of_turns(*, max_turns: int = 6) -> st.SearchStrategy[list[TurnProgram]]:
    """Draw callers that come and go at moments of virtual time that coincide now and then."""
    seconds = st.sampled_from([0.0, 0.0, 0.5, 1.0])
    program = st.builds(
        TurnProgram,
        prompt=st.text("ab ", min_size=1, max_size=24),
        max_tokens=st.integers(1, 24),
        temperature=st.sampled_from([0.0, 0.0, 0.9]),
        seed=st.integers(0, 5),
        stop=st.lists(st.sampled_from(["a", "e", "th", "the", "\n", "STOP", "€", " a"]), max_size=2).map(
            tuple
        ),
        manner=st.sampled_from(MANNERS),
        window=st.integers(2, 6),
        starts_at_s=seconds,
        leaves_at_s=st.one_of(st.none(), st.none(), seconds),
    )
    return st.lists(program, min_size=1, max_size=max_turns)
