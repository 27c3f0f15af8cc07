"""Small files of the kernel's are read whole, and little memory is taken for it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from actorllama.native.memory_text import read_text


def test_a_small_file_is_read_whole_however_long_and_one_without_end_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "mountinfo"
    path.write_text("x" * 100_000)
    assert read_text(path) == "x" * 100_000
    assert len(read_text(Path("/dev/zero")) or "") == 1 << 20
    assert read_text(tmp_path / "nowhere") is None


def test_a_line_is_read_into_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "memory.max"
    path.write_text("max\n")
    read_text(path)
    tracemalloc.start()
    try:
        assert read_text(path) == "max\n"
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 17
