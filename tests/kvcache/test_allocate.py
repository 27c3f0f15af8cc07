"""Memory of its own goes back to the system with its last user."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from actorllama.kvcache.allocate import fresh_memory


@pytest.mark.parametrize("n_bytes", [0, 1, (1 << 16) - 1, 1 << 16, 3_000_001])
def test_memory_has_the_size_that_was_asked_for_and_is_writable(n_bytes: int) -> None:
    piece = fresh_memory(n_bytes)
    piece[:] = b"\1" * n_bytes
    assert bytes(piece) == b"\1" * n_bytes


def test_much_memory_is_a_mapping_of_its_own_and_no_part_of_the_heap() -> None:
    assert isinstance(fresh_memory(1 << 16).obj, mmap.mmap)
    assert isinstance(fresh_memory((1 << 16) - 1).obj, bytearray)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_who_drops_it_gives_it_back() -> None:
    n_bytes = 97 << 20  # a size that nobody else maps

    def is_mapped() -> bool:
        lines = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
        return any(line.startswith("Size:") and int(line.split()[1]) >= n_bytes >> 10 for line in lines)

    was_mapped = is_mapped()
    piece = fresh_memory(n_bytes)
    part = piece[5:10]
    del piece
    assert is_mapped()
    del part
    assert is_mapped() == was_mapped
