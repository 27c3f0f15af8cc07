"""Tokens carry how their rows were computed."""

from __future__ import annotations

import pytest

from actorllama.engine.lineage import alone, computed, plain

PAST = (*(1, 2), *alone((3,)))


def test_marks_come_off_and_leave_the_tokens() -> None:
    assert plain(alone((0, 7, 32_000))) == (0, 7, 32_000)
    assert plain((1, 2)) == (1, 2)
    assert not set(alone((1, 2))) & {1, 2}


@pytest.mark.parametrize(
    ("n_restored", "want"),
    [
        (4, (*PAST, 4, 5, 6)),  # more than the past: parts of prompts that were computed before
        (3, (*PAST, 4, 5, 6)),
        (2, (1, 2, 3, 4, 5, 6)),  # a reply that was computed again with the prompt is one no more
        (0, (1, 2, 3, 4, 5, 6)),
    ],
)
def test_only_what_was_restored_is_as_it_was(n_restored: int, want: tuple[int, ...]) -> None:
    found = computed((1, 2, 3, 4, 5, 6), PAST, n_restored=n_restored, reply=(8, 9))
    assert found == (*want, *alone((8, 9)))


def test_a_token_that_is_left_over_alone_is_a_row_of_its_own() -> None:
    assert computed((1, 2, 3), alone((1, 2)), n_restored=2, reply=()) == alone((1, 2, 3))
    assert computed((1,), (), n_restored=0, reply=()) == alone((1,))
