import sys
import time

import pytest

from actorllama.kvcache import Boundary, EntryFacts, PrefixHit, PrefixIndex, TierName, boundary_key, chain_of
from tests.kvcache.samples import NAMESPACE, state_of

ENTRIES = state_of()
BLOCKS, BOUNDARY = ENTRIES[:3], ENTRIES[3]
PROMPT = (1, *range(2, 15))


def index_of(*entries: object, tier: TierName = "ram") -> PrefixIndex:
    index = PrefixIndex()
    for entry in ENTRIES:
        if entry in entries:
            index.add(entry, tier)
    return index


def look(
    index: PrefixIndex, prompt: tuple[int, ...] = PROMPT, *, needs_boundary: bool = False
) -> PrefixHit | None:
    return index.longest_prefix(NAMESPACE, prompt, block_tokens=4, needs_boundary=needs_boundary)


def test_blocks_from_the_first_on_are_a_prefix_up_to_the_first_gap() -> None:
    hit = look(index_of(BLOCKS[0], BLOCKS[2]))
    assert hit == PrefixHit(n_cells=4, blocks=(BLOCKS[0].key,), boundary=None, tier="ram")
    assert look(index_of(BLOCKS[1], BLOCKS[2])) is None


def test_a_boundary_adds_its_tail() -> None:
    hit = look(index_of(*ENTRIES))
    assert hit is not None
    assert (hit.n_cells, hit.boundary) == (13, BOUNDARY.key)
    assert hit.keys == tuple(entry.key for entry in ENTRIES[:4])


def test_one_token_is_always_left_over() -> None:
    index = index_of(*ENTRIES)
    for n_tokens, n_cells in [(13, 12), (12, 8), (9, 8), (8, 4), (5, 4)]:
        hit = look(index, PROMPT[:n_tokens])
        assert hit is not None
        assert hit.n_cells == n_cells
    assert look(index, PROMPT[:4]) is None
    assert look(index, ()) is None


def test_a_context_with_whole_sections_goes_on_from_boundaries_only() -> None:
    assert look(index_of(*BLOCKS), needs_boundary=True) is None
    hit = look(index_of(*ENTRIES), needs_boundary=True)
    assert hit is not None
    assert hit.n_cells == 13
    assert look(index_of(*BLOCKS[:2], BOUNDARY), needs_boundary=True) is None, "rows are lacking"


def test_a_recurrent_context_needs_no_blocks() -> None:
    index = index_of(BOUNDARY)
    hit = index.longest_prefix(NAMESPACE, PROMPT, block_tokens=4, needs_boundary=True, needs_blocks=False)
    assert hit == PrefixHit(n_cells=13, blocks=(), boundary=BOUNDARY.key, tier="ram")
    with pytest.raises(ValueError, match="one of the two"):
        index.longest_prefix(NAMESPACE, PROMPT, block_tokens=4, needs_boundary=False, needs_blocks=False)


def test_a_hit_is_from_disk_if_any_part_of_it_is() -> None:
    index = index_of(*ENTRIES)
    index.discard(BLOCKS[1].key, "ram")
    assert look(index) == PrefixHit(n_cells=4, blocks=(BLOCKS[0].key,), boundary=None, tier="ram")
    index.add(BLOCKS[1], "disk")
    hit = look(index)
    assert hit is not None
    assert (hit.n_cells, hit.tier) == (13, "disk")
    index.add(BLOCKS[1], "ram")
    assert index.tiers_of(BLOCKS[1].key) == ("ram", "disk")
    hit = look(index)
    assert hit is not None
    assert hit.tier == "ram"


def test_another_namespace_or_length_of_block_finds_nothing() -> None:
    index = index_of(*ENTRIES)
    assert index.longest_prefix("beef", PROMPT, block_tokens=4, needs_boundary=False) is None
    assert index.longest_prefix(NAMESPACE, PROMPT, block_tokens=2, needs_boundary=False) is None


def test_a_name_that_lies_about_its_tail_finds_nothing_wrong() -> None:
    """A boundary's length and parent come from a file name: the key decides."""
    chain = chain_of(NAMESPACE, PROMPT[:-1], block_tokens=4)
    for n_tail in (0, 2, 3, 7, 99):
        index = index_of(*BLOCKS)
        index.add(EntryFacts("boundary", BOUNDARY.key, chain.parent, n_tail), "disk")
        index.add(EntryFacts("boundary", boundary_key("0" * 32, (1,)), chain.parent, 1), "disk")
        hit = look(index)
        assert hit is not None
        assert (hit.n_cells, hit.boundary) == (12, None)


def test_stored_blocks_are_counted_up_to_the_first_gap() -> None:
    index = index_of(BLOCKS[0], BLOCKS[2])
    assert index.n_stored(entry.key for entry in BLOCKS) == 1
    assert index.n_stored(()) == 0


def test_discarding_what_is_not_there_is_nothing() -> None:
    index = index_of(BOUNDARY)
    index.discard("0" * 32, "ram")
    index.discard(BOUNDARY.key, "disk")
    assert len(index) == 1
    assert repr(index) == "<PrefixIndex 1 entries, 1 of them boundaries>"
    index.discard(BOUNDARY.key, "ram")
    assert len(index) == 0


def test_tails_behind_one_block_are_told_apart() -> None:
    chain = chain_of(NAMESPACE, PROMPT[:12], block_tokens=4)
    index = index_of(*BLOCKS)
    for tail in [(13,), (99,), (13, 14), ()]:
        index.add(Boundary(parent=chain.parent, tail=tail, payload=b""), "ram")
    for prompt, n_cells in [(PROMPT, 13), ((*PROMPT, 15), 14), ((*PROMPT[:12], 99, 1), 13)]:
        hit = look(index, prompt, needs_boundary=True)
        assert hit is not None
        assert hit.n_cells == n_cells
    hit = look(index, (*PROMPT[:12], 77, 1), needs_boundary=True)
    assert hit is not None
    assert (hit.n_cells, hit.boundary) == (12, boundary_key(chain.parent, ()))


def test_a_tail_that_goes_leaves_the_others_behind_its_block() -> None:
    chain = chain_of(NAMESPACE, PROMPT[:12], block_tokens=4)
    index = index_of(*BLOCKS)
    tails = [Boundary(parent=chain.parent, tail=tail, payload=b"") for tail in [(13,), (99,), (13, 14)]]
    for boundary in tails:
        index.add(boundary, "ram")
    for boundary, n_cells in [(tails[1], 14), (tails[2], 13), (tails[0], 12)]:
        index.discard(boundary.key, "ram")
        hit = look(index, (*PROMPT, 15))
        assert hit is not None
        assert hit.n_cells == n_cells


def test_a_tier_that_is_listed_anew_has_what_is_on_the_list() -> None:
    index = index_of(*ENTRIES, tier="disk")
    index.add(BLOCKS[0], "ram")
    index.replace(BLOCKS[1:], "disk")
    assert index.in_tier("disk") == {entry.key for entry in BLOCKS[1:]}
    assert index.tiers_of(BLOCKS[0].key) == ("ram",)
    assert index.tiers_of(BOUNDARY.key) == ()


@pytest.mark.slow
def test_a_lookup_takes_microseconds_per_block() -> None:
    """8,192 tokens among 100,000 entries: 20 µs per block is a hundred times less than reading one."""
    if sys.gettrace() is not None:
        pytest.skip("a tracer, such as coverage's, takes most of the time")
    index = PrefixIndex()
    prompt = tuple(range(8192))
    chain = chain_of(NAMESPACE, prompt, block_tokens=64)
    for number in range(100_000):
        index.add(EntryFacts("block", f"{number:032x}", None, 0), "disk")
    for key in chain.blocks:
        index.add(EntryFacts("block", key, None, 0), "ram")
    took_s: list[float] = []
    for _ in range(10):  # one of them may be in the way of the garbage collector
        began_s = time.thread_time()
        hit = index.longest_prefix(NAMESPACE, prompt, block_tokens=64, needs_boundary=False)
        took_s.append(time.thread_time() - began_s)
        assert hit is not None
        assert hit.n_cells == 127 * 64
    assert min(took_s) < 128 * 20e-6
