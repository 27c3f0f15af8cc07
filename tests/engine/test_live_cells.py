"""Idle sequences remember what they hold."""

from __future__ import annotations

from actorllama.engine.live_cells import HeldCells, LiveCells, LiveMatch
from actorllama.engine.prefix import Prefix
from actorllama.ids import SeqId


def prefix(*tokens: int) -> Prefix:
    return Prefix.of("ab", tokens, block_tokens=4)


def cells(held: dict[int, tuple[int, ...]], *, is_sliceable: bool = True) -> LiveCells:
    live = LiveCells(is_sliceable=is_sliceable)
    for seq_id, tokens in held.items():
        live.hold(SeqId(seq_id), HeldCells(namespace="ab", prefix=prefix(*tokens)))
    return live


def find(live: LiveCells, prompt: Prefix, *free: int, n_most: int = 99) -> LiveMatch | None:
    return live.find(prompt, [SeqId(seq_id) for seq_id in free], n_most=n_most)


def test_the_free_sequence_with_most_of_a_prompt_is_found() -> None:
    live = cells({0: (1, 2), 1: (1, 2, 3, 4, 5), 2: (1, 2, 3)})
    assert find(live, prefix(1, 2, 3, 4, 9), 0, 1, 2) == LiveMatch(seq_id=SeqId(1), n_cells=4)
    assert find(live, prefix(1, 2, 3, 4, 9), 0, 2) == LiveMatch(seq_id=SeqId(2), n_cells=3)
    assert find(live, prefix(9), 0, 1, 2) is None


def test_no_more_cells_are_used_than_may_be() -> None:
    live = cells({0: (1, 2, 3, 4)})
    found = find(live, prefix(1, 2, 3, 4), 0, n_most=2)
    assert found is not None
    assert found.n_cells == 2


def test_what_cannot_be_taken_back_is_used_whole() -> None:
    live = cells({0: (1, 2, 3, 4), 1: (1, 2)}, is_sliceable=False)
    for prompt, seq_id in ((prefix(1, 2, 3, 9), 1), (prefix(1, 2, 3, 4, 9), 0)):
        found = find(live, prompt, 0, 1)
        assert found is not None
        assert found.seq_id == seq_id
    assert find(live, prefix(1, 2, 3, 4), 0, 1, n_most=1) is None


def test_what_a_turn_has_is_forgotten_and_nothing_is_not_held() -> None:
    live = cells({0: (1, 2), 1: ()})
    assert [seq_id in live for seq_id in (0, 1)] == [True, False]
    assert live.n_cells == 2
    live.hold(SeqId(0), HeldCells(namespace="ab", prefix=prefix()))
    assert (0 in live, live.n_cells) == (False, 0)
    live.hold(SeqId(1), HeldCells(namespace="ab", prefix=prefix(5)))
    live.forget(SeqId(1))
    live.forget(SeqId(1))
    assert find(live, prefix(5), 1) is None
