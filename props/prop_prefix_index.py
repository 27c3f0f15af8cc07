"""Laws of the prefix index: it answers as a scan over all that is stored does."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from actorllama.kvcache import (
    Block,
    Boundary,
    EntryFacts,
    PrefixHit,
    PrefixIndex,
    TierName,
    block_key,
    boundary_key,
    chain_of,
    root_key,
)
from actorllama.kvcache.layout import entry_name, facts_of_name

TOKENS = st.lists(st.integers(0, 1), max_size=9)  # two tokens: most lists begin alike
TIERS = st.sampled_from(("ram", "disk"))
N = st.sampled_from((1, 2, 3))


@frozen
class Known:
    """What the oracle knows of an entry: all of its tokens from the first on."""

    tokens: tuple[int, ...]
    is_boundary: bool
    n_tail: int
    tiers: frozenset[TierName]


def scan(
    known: dict[str, Known], prompt: Sequence[int], n: int, *, needs_boundary: bool, needs_blocks: bool
) -> tuple[int, TierName] | None:
    """Try every length from the longest down, and look every entry over."""
    for n_cells in range(len(prompt) - 1, 0, -1):
        begun = tuple(prompt[:n_cells])
        lengths = range(n, n_cells + 1, n)
        blocks = [
            [one for one in known.values() if not one.is_boundary and one.tokens == begun[:length]]
            for length in lengths
        ]
        ends = [one for one in known.values() if one.is_boundary and one.tokens == begun]
        is_end_needed = needs_boundary or n_cells % n > 0
        if (needs_blocks and not all(blocks)) or (is_end_needed and not ends):
            continue
        parts = [found[0] for found in blocks] if needs_blocks else []
        parts += ends[:1] if is_end_needed else []
        return n_cells, "ram" if all("ram" in one.tiers for one in parts) else "disk"
    return None


STATES = st.lists(st.tuples(TOKENS, TIERS), max_size=12)


def fill(states: list[tuple[list[int], TierName]], n: int) -> tuple[PrefixIndex, dict[str, Known]]:
    """Store of each state its last block and a boundary at its end; so there are gaps."""
    index = PrefixIndex()
    known: dict[str, Known] = {}
    for tokens, tier in states:
        chain = chain_of("ab", tokens, block_tokens=n)
        entries: list[Block | Boundary] = []
        if chain.tail or len(tokens) % 2:  # some ends without a tail, too
            entries.append(Boundary(parent=chain.parent, tail=chain.tail, payload=b""))
        if chain.blocks:
            end = n * len(chain.blocks)
            parent = chain.blocks[-2] if len(chain.blocks) > 1 else chain.root
            entries.append(Block(parent=parent, tokens=tokens[end - n : end], payload=b""))
        for entry in entries:
            index.add(entry, tier)
            is_boundary = isinstance(entry, Boundary)
            whole = tuple(tokens) if is_boundary else tuple(tokens[: n * len(chain.blocks)])
            old = known.get(entry.key)
            tiers: frozenset[TierName] = old.tiers if old else frozenset()
            known[entry.key] = Known(whole, is_boundary, entry.n_tail, tiers.union((tier,)))
    return index, known


@given(STATES, TOKENS, N, st.sampled_from([(False, True), (True, True), (True, False)]))
def prop_the_longest_prefix_is_that_of_a_linear_scan(
    states: list[tuple[list[int], TierName]], prompt: list[int], n: int, needs: tuple[bool, bool]
) -> None:
    index, known = fill(states, n)
    needs_boundary, needs_blocks = needs
    expected = scan(known, prompt, n, needs_boundary=needs_boundary, needs_blocks=needs_blocks)
    hit = index.longest_prefix(
        "ab", prompt, block_tokens=n, needs_boundary=needs_boundary, needs_blocks=needs_blocks
    )
    assert expected == (None if hit is None else (hit.n_cells, hit.tier))
    if hit is not None:
        assert 0 < hit.n_cells < len(prompt)
        check_parts(hit, prompt[: hit.n_cells], n, needs_blocks=needs_blocks)


def check_parts(hit: PrefixHit, begun: Sequence[int], n: int, *, needs_blocks: bool) -> None:
    """The parts of a hit are those of its cells, whoever computes their keys."""
    chain = chain_of("ab", begun, block_tokens=n)
    assert hit.blocks == (chain.blocks if needs_blocks else ())
    assert hit.boundary in ((chain.boundary,) if chain.tail or not needs_blocks else (None, chain.boundary))


@given(STATES, STATES, TOKENS, N)
def prop_what_is_discarded_is_as_if_it_had_never_been_there(
    stay: list[tuple[list[int], TierName]], go: list[tuple[list[int], TierName]], prompt: list[int], n: int
) -> None:
    index, known = fill([*stay, *go], n)
    expected, kept = fill(stay, n)
    for key, one in known.items():
        for tier in one.tiers - (kept[key].tiers if key in kept else frozenset()):
            index.discard(key, tier)
    assert len(index) == len(expected)
    assert index.in_tier("ram") == expected.in_tier("ram")
    for needs_boundary in (False, True):
        found = [
            one.longest_prefix("ab", prompt, block_tokens=n, needs_boundary=needs_boundary)
            for one in (index, expected)
        ]
        assert found[0] == found[1]
    assert index._tails == expected._tails


@given(STATES, STATES, N)
def prop_replacing_a_tier_leaves_the_other_alone(
    before: list[tuple[list[int], TierName]], after: list[tuple[list[int], TierName]], n: int
) -> None:
    index, known = fill(before, n)
    on_disk = [
        EntryFacts("boundary", boundary_key("0" * 32, tokens), "0" * 32, len(tokens)) for tokens, _ in after
    ]
    index.replace(on_disk, "disk")
    assert index.in_tier("disk") == {facts.key for facts in on_disk}
    assert index.in_tier("ram") == {key for key, one in known.items() if "ram" in one.tiers}


@given(TOKENS, N)
def prop_a_file_name_tells_all_that_the_index_must_know(tokens: list[int], n: int) -> None:
    chain = chain_of("ab", tokens, block_tokens=n)
    boundary = Boundary(parent=chain.parent, tail=chain.tail, payload=b"")
    told = facts_of_name(entry_name(boundary).partition("/")[2])
    assert told == EntryFacts("boundary", boundary.key, boundary.parent, len(chain.tail))


@given(TOKENS, TOKENS, N, N)
def prop_chains_agree_exactly_as_far_as_their_tokens_do(
    one: list[int], other: list[int], n_one: int, n_other: int
) -> None:
    """And never across lengths of block or namespaces."""
    chains = [chain_of("ab", one, block_tokens=n_one), chain_of("ab", other, block_tokens=n_other)]
    for i, keys in enumerate(zip(chains[0].blocks, chains[1].blocks, strict=False), start=1):
        is_same = n_one == n_other and one[: i * n_one] == other[: i * n_one]
        assert (keys[0] == keys[1]) == is_same
    assert not set(chains[0].blocks) & set(chain_of("abc", one, block_tokens=n_one).blocks)
    assert chains[0].n_cells == len(one)
    parent = root_key("ab", block_tokens=n_one)
    for i, key in enumerate(chains[0].blocks):
        parent = block_key(parent, one[i * n_one : (i + 1) * n_one])
        assert parent == key
