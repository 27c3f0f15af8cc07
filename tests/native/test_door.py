"""The bindings are there without the rest of llama-cpp-python, and the rest is there for who wants it."""

from __future__ import annotations

import subprocess
import sys

import pytest

REST = ("diskcache", "jinja2", "sqlite3", "llama_cpp.llama", "structlog", "rich", "asyncio")


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.slow
def test_a_backend_loads_the_bindings_and_nothing_else_of_the_package() -> None:
    code = f"""
import sys
from importlib.metadata import version
from actorllama.native.llama import LlamaBackend
said = LlamaBackend().build_info().version
print(said == "llama-cpp-python " + version("llama-cpp-python"), [m for m in {REST} if m in sys.modules])
"""
    assert run(code) == "True []"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Llama", "LlamaGrammar"])
def test_who_wants_more_of_the_package_gets_all_of_it_and_the_same_bindings(name: str) -> None:
    code = f"""
import actorllama.native.llama
import llama_cpp
before = llama_cpp.llama_decode, llama_cpp.llama_cpp
found = llama_cpp.{name}
assert before == (llama_cpp.llama_decode, llama_cpp.llama_cpp)
assert found is llama_cpp.llama.{name}
from llama_cpp import LlamaRAMCache
try:
    llama_cpp.nothing_of_that_name
except AttributeError as error:
    print(error)
"""
    assert run(code) == "module 'llama_cpp' has no attribute 'nothing_of_that_name'"


@pytest.mark.slow
def test_who_has_loaded_the_package_keeps_it() -> None:
    code = """
import llama_cpp
import actorllama.native.llama
import sys
print(sys.modules["llama_cpp"] is llama_cpp, type(llama_cpp).__name__, hasattr(llama_cpp, "Llama"))
"""
    assert run(code) == "True module True"


@pytest.mark.slow
def test_threads_that_want_the_rest_at_once_all_get_it() -> None:
    code = """
import threading
import actorllama.native.llama
import llama_cpp
found = []
barrier = threading.Barrier(8)
def want():
    barrier.wait()
    found.append(llama_cpp.Llama)
threads = [threading.Thread(target=want) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), len(set(found)))
"""
    assert run(code) == "8 1"
