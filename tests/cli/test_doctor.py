import json
import os
import tomllib
from pathlib import Path

import pytest
from attrs import evolve

from actorllama.cli.build_probe import BuildReport, probe_build
from actorllama.cli.checks import Facts, Finding, examine
from actorllama.cli.machine import Machine, available_bytes, look_at_machine
from actorllama.cli.packages import REQUIRED, TESTED_LLAMA, Package, packages
from actorllama.native import BuildInfo
from tests.cli.shell import Invoke, Spawn

ROOT = Path(__file__).parents[2]
BUILD = BuildInfo(
    library="llama.cpp",
    version="llama-cpp-python 0.3.36",
    has_openmp=False,
    devices=("CPU: one",),
    system_info="AVX2 = 1",
    max_seq=256,
)
MACHINE = Machine(
    system="Linux",
    processor="one",
    cpu_features=("avx2",),
    n_cpus=2,
    n_cpus_usable=2,
    cpu_quota=None,
    memory_bytes=8 << 30,
    memory_available_bytes=4 << 30,
    memory_limit_bytes=None,
    gpus=(),
    gpu_note="no driver",
)
FACTS = Facts(
    actorllama_version="0.1.0",
    python_version="3.11.7",
    python_path="/usr/bin/python",
    machine=MACHINE,
    build=BuildReport(build=BUILD, reason=None),
    packages=tuple(Package(name=name, version="1") for name in REQUIRED if name != "llama-cpp-python"),
    demo_model_path="/model.gguf",
    demo_model_error=None,
    config_path=None,
)


def findings(facts: Facts, verdict: str) -> list[Finding]:
    return [finding for finding in examine(facts) if finding.verdict == verdict]


def on(machine: Machine) -> Facts:
    return evolve(FACTS, machine=machine)


def test_a_good_set_up_has_nothing_to_complain_about() -> None:
    assert findings(FACTS, "failure") == findings(FACTS, "warning") == []


def test_openmp_is_a_warning_that_says_how_to_rebuild() -> None:
    facts = evolve(FACTS, build=BuildReport(build=evolve(BUILD, has_openmp=True), reason=None))
    (warning,) = findings(facts, "warning")
    assert warning.topic == "OpenMP"
    assert warning.advice is not None
    assert 'CMAKE_ARGS="-DGGML_OPENMP=OFF"' in warning.advice
    assert "--no-cache-dir" in warning.advice


def test_a_build_that_cannot_be_loaded_is_a_failure_with_its_reason() -> None:
    facts = evolve(FACTS, build=BuildReport(build=None, reason="SIGILL"))
    (failure,) = findings(facts, "failure")
    assert "SIGILL" in failure.text


def test_missing_packages_are_named_with_the_line_that_installs_them() -> None:
    facts = evolve(FACTS, packages=(Package(name="trio", version=None), Package(name="rich", version="1")))
    (failure,) = findings(facts, "failure")
    assert (failure.text, failure.advice) == ("missing: trio", "pip install trio")


def test_another_llama_cpp_python_is_a_warning() -> None:
    facts = evolve(FACTS, packages=(Package(name="llama-cpp-python", version="0.2"),))
    (warning,) = findings(facts, "warning")
    assert warning.advice == f"pip install llama-cpp-python=={TESTED_LLAMA}"


def test_a_quota_below_the_cpus_advises_fewer_threads() -> None:
    (threads, _gpu) = findings(on(evolve(MACHINE, cpu_quota=1.5)), "note")
    assert threads.advice == "Load with --threads 1."


def test_little_memory_is_a_warning_and_the_cgroup_counts() -> None:
    (warning,) = findings(on(evolve(MACHINE, memory_limit_bytes=100 << 20)), "warning")
    assert warning.topic == "memory"
    assert "cgroup limit 100.0 MiB" in warning.text


def test_a_damaged_demo_model_is_a_failure() -> None:
    (failure,) = findings(evolve(FACTS, demo_model_error="cannot load it"), "failure")
    assert failure.topic == "demo model"


def test_the_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [line.partition("=")[0].partition(">")[0] for line in project["dependencies"]]
    assert sorted(named) == sorted(REQUIRED)
    assert f"llama-cpp-python=={TESTED_LLAMA}" in project["dependencies"]
    assert all(package.version for package in packages())


def test_the_machine_tells_something_about_itself() -> None:
    machine = look_at_machine()
    assert machine.n_cpus_usable >= 1
    assert machine.memory_available_bytes is not None
    assert 0 < machine.memory_available_bytes <= (machine.memory_bytes or 0)
    assert (available_bytes() or 0) > 0
    assert machine.gpus or machine.gpu_note is None or machine.gpu_note


def break_llama(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another llama_cpp before the real one, for processes that start from now on."""
    package = folder / "llama_cpp"
    package.mkdir()
    (package / "__init__.py").write_text("from .llama_cpp import *\n")
    (package / "llama_cpp.py").write_text(code)  # it loads the shared library
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")


@pytest.mark.slow
def test_a_build_tells_about_itself_from_another_process() -> None:
    report = probe_build()
    assert report.reason is None
    assert report.build is not None
    assert report.build.max_seq >= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('Failed to load shared library')", "Failed to load shared library"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
        ("import os; os._exit(3)", "it exited with 3"),
    ],
)
def test_doctor_reports_a_broken_llama_cpp_and_exits_with_1(
    spawn: Spawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    break_llama(tmp_path, code, monkeypatch)
    done = spawn("doctor")
    assert (done.code, done.err) == (1, "")
    assert says in done.out
    assert done.out.endswith("not usable: see the failures above\n")
    assert "Traceback" not in done.out


@pytest.mark.slow
def test_doctor_on_this_machine_says_that_it_is_usable(invoke: Invoke) -> None:
    done = invoke("doctor")
    assert done.code == 0, done.out
    assert done.out.endswith("usable\n")


@pytest.mark.slow
def test_doctor_as_json_is_one_object(invoke: Invoke) -> None:
    done = invoke("doctor", "--json")
    answer = json.loads(done.out)
    assert answer["is_usable"] is True
    assert answer["build"]["build"]["library"] == "llama.cpp"
    assert {package["name"] for package in answer["packages"]} == set(REQUIRED)
