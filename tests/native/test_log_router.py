"""llama.cpp's log reaches nobody who did not ask, and never a freed callback."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import gc, llama_cpp
from actorllama.native.llama import LlamaBackend
backend = LlamaBackend()
del backend
gc.collect()
for _ in range(3):
    llama_cpp.llama_model_load_from_file(b"/nonexistent", llama_cpp.llama_model_default_params())
print("alive")
"""


@pytest.mark.slow
def test_a_line_after_the_last_backend_is_gone_is_harmless_and_silent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=180, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_errors_are_collected_on_the_thread_that_asks() -> None:
    import llama_cpp

    from actorllama.native.llama.log_router import log_router

    with log_router().collecting_errors() as errors:
        llama_cpp.llama_model_load_from_file(b"/nonexistent", llama_cpp.llama_model_default_params())
    assert any("/nonexistent" in line for line in errors)


def test_all_lines_are_collected_for_who_asks_and_no_longer_than_asked() -> None:
    import llama_cpp

    from actorllama.native.llama.log_router import log_router

    with log_router().collecting_lines() as lines:
        llama_cpp.llama_model_load_from_file(b"/nonexistent", llama_cpp.llama_model_default_params())
    assert any("/nonexistent" in line for line in lines)
    n_lines = len(lines)
    llama_cpp.llama_model_load_from_file(b"/nonexistent", llama_cpp.llama_model_default_params())
    assert len(lines) == n_lines


def test_a_block_within_another_takes_nothing_from_it() -> None:
    import llama_cpp

    from actorllama.native.llama.log_router import log_router

    with log_router().collecting_lines() as outer:
        with log_router().collecting_lines() as inner:
            llama_cpp.llama_model_load_from_file(b"/nonexistent", llama_cpp.llama_model_default_params())
        n_inner = len(inner)
        llama_cpp.llama_model_load_from_file(b"/nonexistent", llama_cpp.llama_model_default_params())
    assert 0 < n_inner == len(inner) < len(outer)
    assert outer[:n_inner] == inner
