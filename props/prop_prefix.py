"""Comparing keys of blocks tells what comparing all tokens tells; of free sequences the best one is found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorllama.engine.live_cells import HeldCells, LiveCells
from actorllama.engine.prefix import Prefix, common_cells
from actorllama.ids import SeqId

sequences = st.lists(st.integers(0, 1), max_size=40)


def n_common(one: list[int], other: list[int]) -> int:
    n = 0
    while n < min(len(one), len(other)) and one[n] == other[n]:
        n += 1
    return n


@given(one=sequences, other=sequences, n_shared=st.integers(0, 40), block_tokens=st.integers(1, 9))
def prop_common_cells_are_those_of_a_scan(
    one: list[int], other: list[int], n_shared: int, block_tokens: int
) -> None:
    """Whatever the length of a block."""
    other = [*one[:n_shared], *other]
    a, b = (Prefix.of("ab", tokens, block_tokens=block_tokens) for tokens in (one, other))
    assert common_cells(a, b) == common_cells(b, a) == n_common(one, other)


@given(
    held=st.dictionaries(st.integers(0, 5), sequences),
    free=st.sets(st.integers(0, 5)),
    prompt=sequences,
    n_most=st.integers(0, 40),
    is_sliceable=st.booleans(),
)
def prop_the_best_free_sequence_is_found(
    held: dict[int, list[int]],
    free: set[int],
    prompt: list[int],
    n_most: int,
    is_sliceable: bool,
) -> None:
    """No other free sequence has more; what cannot be taken back is used whole or not at all."""
    cells = LiveCells(is_sliceable=is_sliceable)
    for seq_id, tokens in held.items():
        prefix = Prefix.of("ab", tokens, block_tokens=4)
        cells.hold(SeqId(seq_id), HeldCells(namespace="ab", prefix=prefix))
    usable = {seq_id: min(n_common(held[seq_id], prompt), n_most) for seq_id in free & held.keys()}
    if not is_sliceable:
        usable = {seq_id: n for seq_id, n in usable.items() if n == len(held[seq_id])}
    match = cells.find(
        Prefix.of("ab", prompt, block_tokens=4), [SeqId(seq_id) for seq_id in sorted(free)], n_most=n_most
    )
    best = max(usable.values(), default=0)
    assert (match.n_cells if match else 0) == best
    if match is not None:
        assert usable[match.seq_id] == best
    assert cells.n_cells == sum(len(tokens) for tokens in held.values())
