"""Keys of blocks and boundaries: a hash chain over the tokens of a sequence. Pure.

::

    root        H("ALkv root",     block_tokens, namespace)
    block i     H("ALkv block",    key of block i-1 or root, its tokens)
    boundary    H("ALkv boundary", key of the last full block or root, the tokens behind it)

H is blake2b of 16 bytes with a `person` per kind, tokens are little-endian int32. So a key names all
tokens from the first on, the namespace, and the length of a block: two sequences share a block only if
they are the same up to its end.

Source: block hashing as in vLLM (prefix caching), with a root that binds the namespace.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from attrs import field, frozen

__all__ = [
    "BLOCK_TOKENS_MAX",
    "TOKEN_BYTES",
    "Chain",
    "block_key",
    "block_keys",
    "boundary_key",
    "chain_of",
    "pack_tokens",
    "packed_boundary_key",
    "root_key",
]

BLOCK_TOKENS_MAX = 1 << 16
TOKEN_BYTES = 4
_KEY_BYTES = 16


@frozen(kw_only=True)
class Chain:
    """The keys of a token list that was cut into blocks."""

    block_tokens: int
    root: str
    """What the first block follows; no entry has this key."""
    blocks: tuple[str, ...] = field(repr=lambda keys: f"<{len(keys)} blocks>")
    """Key of each full block, in order."""
    tail: tuple[int, ...] = field(repr=lambda ids: f"<{len(ids)} tokens>")
    """Tokens behind the last full block: fewer than ``block_tokens``."""

    @property
    def parent(self) -> str:
        """What a boundary at the end follows: the last block, or the root."""
        return self.blocks[-1] if self.blocks else self.root

    @property
    def boundary(self) -> str:
        """Key of the boundary at the end."""
        return boundary_key(self.parent, self.tail)

    @property
    def n_cells(self) -> int:
        """Tokens in all."""
        return len(self.blocks) * self.block_tokens + len(self.tail)


def root_key(namespace: str, *, block_tokens: int) -> str:
    """Name what the first block of a namespace follows.

    Raises:
        ValueError: ``block_tokens`` is not from 1 to `BLOCK_TOKENS_MAX`.
    """
    if not 1 <= block_tokens <= BLOCK_TOKENS_MAX:
        raise ValueError(f"block_tokens must be from 1 to {BLOCK_TOKENS_MAX}: {block_tokens}")
    content = struct.pack("<I", block_tokens) + namespace.encode()
    return blake2b(content, digest_size=_KEY_BYTES, person=b"ALkv root").hexdigest()


def block_key(parent: str, tokens: Sequence[int]) -> str:
    """Name a block by the key before it, which is that of a block or of a root, and by its tokens.

    Raises:
        ValueError: ``parent`` is no hex number.
        struct.error: A token does not fit 32 bits.
    """
    return _follow(bytes.fromhex(parent), pack_tokens(tokens)).hex()


def boundary_key(parent: str, tail: Sequence[int]) -> str:
    """Name a boundary by the last full block, or the root, and the tokens behind it.

    Raises:
        ValueError: As `block_key`.
        struct.error: As `block_key`.
    """
    return packed_boundary_key(parent, pack_tokens(tail))


def packed_boundary_key(parent: str, tail: bytes | memoryview) -> str:
    """Name a boundary whose tail is packed already."""
    digest = blake2b(bytes.fromhex(parent), digest_size=_KEY_BYTES, person=b"ALkv boundary")
    digest.update(tail)
    return digest.hexdigest()


def block_keys(root: str, packed: bytes, *, block_tokens: int) -> Iterator[str]:
    """Give the keys of all full blocks, one after another, as long as somebody asks.

    Args:
        root: What the first follows.
        packed: All tokens, as `pack_tokens` packs them.
        block_tokens: Tokens of a block.

    Cost: about 1 µs per block of 64 tokens.
    """
    view = memoryview(packed)
    step = TOKEN_BYTES * block_tokens
    parent = bytes.fromhex(root)
    for at in range(step, len(view) + 1, step):
        parent = _follow(parent, view[at - step : at])
        yield parent.hex()


def chain_of(namespace: str, tokens: Sequence[int], *, block_tokens: int) -> Chain:
    """Compute the keys of a token list.

    Raises:
        ValueError: ``block_tokens`` is out of bounds.
        struct.error: A token does not fit 32 bits.

    Cost: about 1 µs per block, and 20 ns per token.
    """
    root = root_key(namespace, block_tokens=block_tokens)
    blocks = tuple(block_keys(root, pack_tokens(tokens), block_tokens=block_tokens))
    return Chain(
        block_tokens=block_tokens, root=root, blocks=blocks, tail=tuple(tokens[len(blocks) * block_tokens :])
    )


def pack_tokens(tokens: Sequence[int]) -> bytes:
    """Write tokens as they are hashed and stored: little-endian int32."""
    return struct.pack(f"<{len(tokens)}i", *tokens)


def _follow(parent: bytes, packed: bytes | memoryview) -> bytes:
    digest = blake2b(parent, digest_size=_KEY_BYTES, person=b"ALkv block")
    digest.update(packed)
    return digest.digest()
