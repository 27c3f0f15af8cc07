"""What a process that serves turns loads: each module is memory in every process."""

from __future__ import annotations

import subprocess
import sys

import pytest

UNUSED = {
    "actorllama.native.grammar_check",
    "actorllama.native.grammar_mask",
    "actorllama.native.grammar_machine",
    "actorllama.native.grammar_program",
    "actorllama.native.grammar_schema",
    "actorllama.native.grammar_text",
    "difflib",
    "opentelemetry",
    "prometheus_client",
    "psutil",
    "pynvml",
    "rich",
    "statistics",
    "structlog",
    "tarfile",
    "tomllib",
    "zstandard",
}
"""Of rare requests, of commands and of benches: loaded when they are wanted."""

LOADED = """
import sys, trio, llama_cpp
others = set(sys.modules)
import actorllama.native.llama, {module}
from actorllama.native.memory_host import SystemSource
assert SystemSource().read().readings
print(*set(sys.modules) - others)
"""


def loaded_with(module: str) -> set[str]:
    """Name what a process that serves turns loads besides trio, the bindings, and all that these load."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
        encoding="utf-8",
    )
    return set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil reads the machine's memory")
def test_a_service_loads_nothing_that_it_does_not_use() -> None:
    assert loaded_with("actorllama.runtime") & UNUSED == set()


@pytest.mark.slow
def test_a_measured_service_loads_no_bench() -> None:
    of_bench = {name for name in loaded_with("actorllama.bench.peers.own_service") if ".bench" in name}
    own = ("", ".peers", ".peers.own", ".peers.own_service")
    assert of_bench == {f"actorllama.bench{name}" for name in own}
