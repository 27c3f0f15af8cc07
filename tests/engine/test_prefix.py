"""How much two sequences have in common."""

from __future__ import annotations

from actorllama.engine.prefix import Prefix, common_cells


def prefix(tokens: list[int]) -> Prefix:
    return Prefix.of("ab", tokens, block_tokens=4)


def test_two_sequences_have_their_equal_beginning_in_common() -> None:
    one = list(range(11))
    for n in range(12):
        other = [*one[:n], *[99] * (11 - n)]
        assert common_cells(prefix(one), prefix(other)) == n
        assert common_cells(prefix(one), prefix(one[:n])) == n


def test_what_is_equal_behind_a_difference_does_not_count() -> None:
    assert common_cells(prefix([1, 2, 3, 4, 5, 6, 7, 8]), prefix([1, 9, 3, 4, 5, 6, 7, 8])) == 1


def test_nothing_has_nothing_in_common() -> None:
    assert common_cells(prefix([]), prefix([1, 2])) == 0
