"""The binding alone: light, and out of the way of programs that want the whole package."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

from actorllama.native.llama.binding import binding_version


def run(program: str) -> dict[str, object]:
    """Run a program in a new process and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr  # the package leaves files open: its own affair
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_the_package_around_it_is_not_loaded() -> None:
    told = run(
        "import json, sys, actorllama.native.llama\n"
        "names = ('llama_cpp', 'llama_cpp.llama', 'jinja2', 'sqlite3', 'diskcache')\n"
        "print(json.dumps({name: name in sys.modules for name in names}))"
    )
    assert not any(told.values())


def test_who_imports_the_package_later_gets_all_of_it_and_our_log_stays_ours() -> None:
    told = run(
        "import json\n"
        "from actorllama.native.llama.binding import llama_cpp as ours\n"
        "from actorllama.native.llama.log_router import log_router\n"
        "router = log_router()\n"
        "import llama_cpp\n"
        "with router.collecting_errors() as errors:\n"
        "    llama_cpp.llama_model_load_from_file(b'/nonexistent', llama_cpp.llama_model_default_params())\n"
        "print(json.dumps({\n"
        "    'class': llama_cpp.Llama.__name__,\n"
        "    'same': llama_cpp.llama_decode is ours.llama_decode,\n"
        "    'told': any('/nonexistent' in line for line in errors),\n"
        "}))"
    )
    assert told == {"class": "Llama", "same": True, "told": True}


def test_who_has_imported_the_package_shares_its_module() -> None:
    told = run(
        "import json, llama_cpp\n"
        "from actorllama.native.llama.binding import llama_cpp as ours\n"
        "print(json.dumps({'same': llama_cpp.llama_cpp is ours}))"
    )
    assert told == {"same": True}


def test_the_version_is_that_of_the_package() -> None:
    assert binding_version() == version("llama-cpp-python")
