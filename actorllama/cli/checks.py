"""What ``doctor`` makes of the facts: a pure function from facts to findings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final, Literal

from attrs import frozen

from actorllama.cli.build_probe import BuildReport
from actorllama.cli.machine import Machine
from actorllama.cli.packages import TESTED_LLAMA, Package
from actorllama.cli.screen import size_of

__all__ = ["Facts", "Finding", "Verdict", "examine"]

Verdict = Literal["ok", "note", "warning", "failure"]

_REBUILD: Final = (
    'Rebuild it: CMAKE_ARGS="-DGGML_OPENMP=OFF" pip install --force-reinstall --no-cache-dir '
    f"llama-cpp-python=={TESTED_LLAMA}"
)
_LITTLE_BYTES: Final = 512 << 20
_LEAST_PYTHON: Final = (3, 11)


@frozen(kw_only=True)
class Facts:
    """All that was found out."""

    actorllama_version: str
    python_version: str
    python_path: str
    machine: Machine
    build: BuildReport
    packages: tuple[Package, ...]
    demo_model_path: str
    demo_model_error: str | None
    config_path: str | None


@frozen(kw_only=True)
class Finding:
    """One line of the report. Only a ``failure`` makes the set-up unusable."""

    topic: str
    verdict: Verdict
    text: str
    advice: str | None = None


def examine(facts: Facts) -> tuple[Finding, ...]:
    """Judge every part of the set-up."""
    return (
        Finding(topic="actorllama", verdict="ok", text=facts.actorllama_version),
        _python(facts),
        Finding(topic="platform", verdict="ok", text=facts.machine.system),
        *_packages(facts),
        *_build(facts.build),
        *_processor(facts.machine),
        *_memory(facts.machine),
        *_gpus(facts.machine),
        _demo(facts),
        Finding(topic="config file", verdict="ok", text=facts.config_path or "none (--config FILE)"),
    )


def _python(facts: Facts) -> Finding:
    is_usable = sys.version_info[:2] >= _LEAST_PYTHON
    return Finding(
        topic="Python",
        verdict="ok" if is_usable else "failure",
        text=f"{facts.python_version} ({facts.python_path})",
        advice=None if is_usable else "Install Python 3.11 or later.",
    )


def _packages(facts: Facts) -> Iterator[Finding]:
    there = [f"{package.name} {package.version}" for package in facts.packages if package.version]
    yield Finding(topic="packages", verdict="ok", text=", ".join(there))
    missing = [package.name for package in facts.packages if not package.version]
    if missing:
        advice = f"pip install {' '.join(missing)}"
        yield Finding(
            topic="packages", verdict="failure", text=f"missing: {', '.join(missing)}", advice=advice
        )
    for package in facts.packages:
        if package.name == "llama-cpp-python" and package.version not in (None, TESTED_LLAMA):
            yield Finding(
                topic="packages",
                verdict="warning",
                text=f"llama-cpp-python {package.version} is not the version that was tested",
                advice=f"pip install llama-cpp-python=={TESTED_LLAMA}",
            )


def _build(report: BuildReport) -> Iterator[Finding]:
    if report.build is None:
        text = f"cannot be loaded: {report.reason}"
        yield Finding(topic="llama.cpp", verdict="failure", text=text, advice=_REBUILD)
        return
    build = report.build
    yield Finding(topic="llama.cpp", verdict="ok", text=f"{build.version}, up to {build.max_seq} sequences")
    if build.has_openmp:
        text = "built with it: its thread pools slow each other down when several contexts compute"
        yield Finding(topic="OpenMP", verdict="warning", text=text, advice=_REBUILD)
    else:
        yield Finding(topic="OpenMP", verdict="ok", text="not used, as it should be")
    yield Finding(topic="built for", verdict="ok", text=build.system_info)
    yield Finding(topic="devices", verdict="ok", text="; ".join(build.devices) or "none told")


def _processor(machine: Machine) -> Iterator[Finding]:
    features = " ".join(machine.cpu_features) or "no vector extensions that we know"
    yield Finding(topic="processor", verdict="ok", text=f"{machine.processor} ({features})")
    quota = "" if machine.cpu_quota is None else f", the cgroup grants the time of {machine.cpu_quota:g}"
    text = f"{machine.n_cpus_usable} of {machine.n_cpus or 'unknown'} CPUs usable{quota}"
    is_tight = machine.cpu_quota is not None and machine.cpu_quota < machine.n_cpus_usable
    yield Finding(
        topic="threads",
        verdict="note" if is_tight else "ok",
        text=text,
        advice=f"Load with --threads {max(int(machine.cpu_quota or 1), 1)}." if is_tight else None,
    )


def _memory(machine: Machine) -> Iterator[Finding]:
    if machine.memory_bytes is None or machine.memory_available_bytes is None:
        yield Finding(topic="memory", verdict="note", text="this platform does not tell")
        return
    limit = machine.memory_limit_bytes
    told = "no cgroup limit" if limit is None else f"cgroup limit {size_of(limit)}"
    available = min(machine.memory_available_bytes, limit or machine.memory_available_bytes)
    is_little = available < _LITTLE_BYTES
    yield Finding(
        topic="memory",
        verdict="warning" if is_little else "ok",
        text=f"{size_of(machine.memory_available_bytes)} free of {size_of(machine.memory_bytes)}, {told}",
        advice="Only small models will fit: free some memory." if is_little else None,
    )


def _gpus(machine: Machine) -> Iterator[Finding]:
    for gpu in machine.gpus:
        text = f"{gpu.name}, {size_of(gpu.memory_free_bytes)} of {size_of(gpu.memory_bytes)} free"
        yield Finding(topic="GPU", verdict="ok", text=text)
    if not machine.gpus:
        yield Finding(topic="GPU", verdict="note", text=f"none ({machine.gpu_note or 'NVML found none'})")


def _demo(facts: Facts) -> Finding:
    if facts.demo_model_error is None:
        return Finding(topic="demo model", verdict="ok", text=facts.demo_model_path)
    advice = "Install actorllama again: the package is incomplete."
    return Finding(topic="demo model", verdict="failure", text=facts.demo_model_error, advice=advice)
