"""Hypothesis strategies for schedules.

Needs hypothesis (``pip install actorllama[test]``); nothing else here imports it.

The choices of a run are drawn before the run, as a list of small integers, and replayed; when they run out
the order is first come, first served. So Hypothesis shrinks a failing schedule towards few and small delays,
and its own control flow never happens inside trio's loop.
"""

from __future__ import annotations

from hypothesis import strategies as st

from actorllama.testing.explorer.search import Strategy, replay

__all__ = ["schedules"]


def schedules(*, max_choices: int = 60, max_index: int = 3) -> st.SearchStrategy[Strategy]:
    """Draw schedules for ``explore(..., strategy=schedule)``.

    A plain ``@given`` test that runs trio sees one and the same schedule in every example; this is what makes
    examples differ.

    Args:
        max_choices: The most choices drawn; later ones are first come, first served.
        max_index: The greatest index drawn; how many tasks can be passed over at one choice.
    """
    return st.lists(st.integers(0, max_index), max_size=max_choices).map(replay)
