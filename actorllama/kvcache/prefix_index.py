"""Which entries are in which tier, and which of them begin a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from attrs import frozen

from actorllama.kvcache.chain import TOKEN_BYTES, block_keys, pack_tokens, packed_boundary_key, root_key
from actorllama.kvcache.entry import Entry, EntryFacts

__all__ = ["PrefixHit", "PrefixIndex", "TierName"]

TierName: TypeAlias = Literal["ram", "disk"]

_BITS: dict[TierName, int] = {"ram": 1, "disk": 2}


@frozen(kw_only=True)
class PrefixHit:
    """What begins a prompt and is stored."""

    n_cells: int
    """Tokens whose rows need not be computed: at least one, and fewer than the prompt has."""
    blocks: tuple[str, ...]
    """Keys of the blocks, in order."""
    boundary: str | None
    """Key of the boundary behind them, if it is part of it."""
    tier: TierName
    """``disk`` if any part must be read from there."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All parts, root first."""
        return self.blocks if self.boundary is None else (*self.blocks, self.boundary)


class PrefixIndex:
    """Keys only: which tiers have them, and for boundaries how long their tails are.

    A tail's length and its parent are enough: its key is computed from the prompt's own tokens, and is
    known or is not. So an index can be filled from file names, and a name that lies finds nothing.

    Owner: one; no two threads may use it at the same time. It never waits.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._tiers: dict[str, int] = {}  # key -> bits of the tiers that have it
        self._boundaries: dict[str, tuple[str, int]] = {}  # key -> parent and length of tail
        self._tails: dict[str, dict[int, int]] = {}  # parent -> length of tail -> how many have it

    def __len__(self) -> int:
        """Count the entries that any tier has."""
        return len(self._tiers)

    def __repr__(self) -> str:
        """Tell how many there are."""
        return f"<PrefixIndex {len(self._tiers)} entries, {len(self._boundaries)} of them boundaries>"

    def add(self, entry: Entry | EntryFacts, tier: TierName) -> None:
        """Know that a tier has an entry."""
        bits = self._tiers.get(entry.key, 0)
        self._tiers[entry.key] = bits | _BITS[tier]
        if entry.kind == "boundary" and entry.parent is not None and entry.key not in self._boundaries:
            self._boundaries[entry.key] = (entry.parent, entry.n_tail)
            lengths = self._tails.setdefault(entry.parent, {})
            lengths[entry.n_tail] = lengths.get(entry.n_tail, 0) + 1

    def discard(self, key: str, tier: TierName) -> None:
        """Know that a tier has an entry no more; an unknown key is ignored."""
        bits = self._tiers.get(key, 0) & ~_BITS[tier]
        if bits:
            self._tiers[key] = bits
        elif self._tiers.pop(key, None) is not None:
            self._forget_tail(key)

    def replace(self, entries: Iterable[Entry | EntryFacts], tier: TierName) -> None:
        """Know that a tier has exactly these entries.

        Cost: O(entries), about 1 µs each.
        """
        entries = tuple(entries)
        for key in self.in_tier(tier).difference(entry.key for entry in entries):
            self.discard(key, tier)
        for entry in entries:
            self.add(entry, tier)

    def has(self, key: str, tier: TierName) -> bool:
        """Tell whether a tier has an entry."""
        return bool(self._tiers.get(key, 0) & _BITS[tier])

    def tiers_of(self, key: str) -> tuple[TierName, ...]:
        """List the tiers that have an entry, the dearest first; none if it is not known."""
        bits = self._tiers.get(key, 0)
        return tuple(tier for tier, bit in _BITS.items() if bits & bit)

    def in_tier(self, tier: TierName) -> frozenset[str]:
        """List the keys that a tier has.

        Cost: O(entries).
        """
        return frozenset(key for key, bits in self._tiers.items() if bits & _BITS[tier])

    def n_stored(self, keys: Iterable[str]) -> int:
        """Count how many of these keys, from the first on, are stored without a gap."""
        count = 0
        for key in keys:
            if key not in self._tiers:
                break
            count += 1
        return count

    def longest_prefix(
        self,
        namespace: str,
        tokens: Sequence[int],
        *,
        block_tokens: int,
        needs_boundary: bool,
        needs_blocks: bool = True,
    ) -> PrefixHit | None:
        """Find the longest stored state that begins a prompt.

        Reads only.

        Args:
            namespace: Of the context that would go on from it.
            tokens: The prompt.
            block_tokens: Tokens of a block.
            needs_boundary: Whether only a boundary can be gone on from: the context has a section that
                cannot be cut (sliding window, recurrent).
            needs_blocks: Whether rows are in blocks at all; not if the context is purely recurrent.

        Returns:
            The hit that covers most tokens, or ``None``; with fewer tokens than the prompt, for one must be
            left over to produce logits.

        Raises:
            ValueError: ``block_tokens`` is out of bounds, or neither blocks nor boundaries are looked for.
            struct.error: A token does not fit 32 bits.

        Cost: about 1 µs per block that is stored, as much for each length of tail that boundaries behind
        the last of them have, and 20 ns per token.
        """
        if not needs_boundary and not needs_blocks:
            raise ValueError("a prefix is of blocks, or ends at a boundary: look for one of the two")
        packed = pack_tokens(tokens)
        chain = [root_key(namespace, block_tokens=block_tokens)]
        for key in block_keys(chain[0], packed, block_tokens=block_tokens):
            if (needs_blocks and key not in self._tiers) or len(chain) * block_tokens >= len(tokens):
                break
            chain.append(key)
        for n_blocks in range(len(chain) - 1, -1, -1):
            n_cells = n_blocks * block_tokens
            tail = memoryview(packed)[n_cells * TOKEN_BYTES : (n_cells + block_tokens - 1) * TOKEN_BYTES]
            is_whole = needs_boundary and n_cells > 0
            found = self._longest_tail(
                chain[n_blocks], tail, n_max=len(tokens) - n_cells - 1, is_whole=is_whole
            )
            if found is None and (needs_boundary or n_blocks == 0):
                continue
            n_tail, boundary = found or (0, None)
            blocks = tuple(chain[1 : n_blocks + 1]) if needs_blocks else ()
            keys = blocks if boundary is None else (*blocks, boundary)
            is_in_ram = all(self._tiers[key] & _BITS["ram"] for key in keys)
            return PrefixHit(
                n_cells=n_cells + n_tail,
                blocks=blocks,
                boundary=boundary,
                tier="ram" if is_in_ram else "disk",
            )
        return None

    def _longest_tail(
        self, parent: str, following: memoryview, *, n_max: int, is_whole: bool
    ) -> tuple[int, str] | None:
        """Find the longest tail behind a block that the prompt goes on with; an empty one only if asked."""
        for n_tail in sorted(self._tails.get(parent, ()), reverse=True):
            if n_tail > n_max or n_tail * TOKEN_BYTES > len(following) or (n_tail == 0 and not is_whole):
                continue
            key = packed_boundary_key(parent, following[: n_tail * TOKEN_BYTES])
            if self._boundaries.get(key) == (parent, n_tail):
                return n_tail, key
        return None

    def _forget_tail(self, key: str) -> None:
        found = self._boundaries.pop(key, None)
        if found is None:
            return
        parent, n_tail = found
        lengths = self._tails[parent]
        lengths[n_tail] -= 1
        if lengths[n_tail] == 0:
            del lengths[n_tail]
        if not lengths:
            del self._tails[parent]
