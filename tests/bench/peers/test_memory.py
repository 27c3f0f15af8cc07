"""What this process takes is read as of any other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actorllama.bench.peers.memory import cpu_s_of, library_of, memory_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells it so")


def test_pages_of_its_own_and_of_files_add_up() -> None:
    memory = memory_of(os.getpid(), cache_bytes=4096)
    assert memory.rss_bytes == memory.own_bytes + memory.file_bytes
    assert memory.own_without_cache_bytes == memory.own_bytes - 4096
    assert memory.peak_bytes > 0
    assert cpu_s_of(os.getpid()) > 0


def test_a_process_without_llama_cpp_has_no_library() -> None:
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert library_of(process.pid) is None


def test_of_a_process_that_is_not_there_nothing_can_be_told() -> None:
    assert library_of(2**22 + 1) is None
    with pytest.raises(OSError, match="2"):
        memory_of(2**22 + 1)
