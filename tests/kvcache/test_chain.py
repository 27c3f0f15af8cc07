import struct

import pytest

from actorllama.kvcache import block_key, boundary_key, chain_of, root_key
from actorllama.kvcache.chain import pack_tokens, packed_boundary_key

ROOT = "96bb5d2e1838b9aa6eddf58a4b9ab90d"
BLOCK = "7e8e6bc7e4aa8977fedc77c985d4d6db"
BOUNDARY = "6447932b2727ede06152766b9ea82c95"


def test_keys_never_change() -> None:
    """Whoever changes these figures loses every saved state of every user: raise FORMAT_VERSION with them."""
    root = root_key("ab", block_tokens=2)
    assert root == ROOT
    assert block_key(root, (1, 2)) == BLOCK
    assert boundary_key(root, (1,)) == BOUNDARY


def test_a_chain_names_all_full_blocks_and_leaves_a_tail() -> None:
    chain = chain_of("ab", [1, 2, 3, 4, 5], block_tokens=2)
    assert len(chain.blocks) == 2
    assert (chain.tail, chain.n_cells) == ((5,), 5)
    assert chain.parent == chain.blocks[1] == block_key(chain.blocks[0], (3, 4))
    assert (
        chain.boundary
        == boundary_key(chain.parent, (5,))
        == packed_boundary_key(chain.parent, pack_tokens([5]))
    )


def test_a_chain_of_less_than_a_block_hangs_on_its_root() -> None:
    chain = chain_of("ab", [1], block_tokens=2)
    assert (chain.blocks, chain.parent) == ((), root_key("ab", block_tokens=2))
    assert "<1 tokens>" in repr(chain)


def test_a_key_depends_on_namespace_length_of_block_and_all_tokens_before() -> None:
    keys = {
        chain_of("ab", [1, 2, 3, 4], block_tokens=2).blocks[1],
        chain_of("abc", [1, 2, 3, 4], block_tokens=2).blocks[1],
        chain_of("ab", [9, 2, 3, 4], block_tokens=2).blocks[1],
        chain_of("ab", [1, 2, 3, 5], block_tokens=2).blocks[1],
        chain_of("ab", [1, 2, 3, 4], block_tokens=4).blocks[0],
        chain_of("ab", [1, 2, 3, 4], block_tokens=8).boundary,
    }
    assert len(keys) == 6


@pytest.mark.parametrize("block_tokens", [0, -1, (1 << 16) + 1])
def test_a_length_of_block_out_of_bounds_is_refused(block_tokens: int) -> None:
    with pytest.raises(ValueError, match="block_tokens"):
        root_key("ab", block_tokens=block_tokens)


def test_a_token_that_does_not_fit_is_refused() -> None:
    with pytest.raises(struct.error):
        chain_of("ab", [1 << 31], block_tokens=2)
