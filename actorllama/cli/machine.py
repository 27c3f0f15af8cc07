"""What the machine offers: processors, memory, graphics cards. Reads only, and never raises."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from attrs import frozen

__all__ = ["Gpu", "Machine", "available_bytes", "look_at_machine"]

_PROC: Final = Path("/proc")
_CGROUP: Final = Path("/sys/fs/cgroup")
_FEATURES: Final = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
)
_NO_LIMIT: Final = 1 << 60  # cgroup v1 writes an absurd number where there is none


@frozen(kw_only=True)
class Gpu:
    """A graphics card as NVML sees it."""

    name: str
    memory_bytes: int
    memory_free_bytes: int


@frozen(kw_only=True)
class Machine:
    """The facts; ``None`` where the platform does not tell."""

    system: str
    processor: str
    cpu_features: tuple[str, ...]
    n_cpus: int | None
    n_cpus_usable: int
    """CPUs that this process may run on (its affinity)."""
    cpu_quota: float | None
    """CPUs' worth of time that the cgroup grants."""
    memory_bytes: int | None
    memory_available_bytes: int | None
    memory_limit_bytes: int | None
    """The cgroup's limit."""
    gpus: tuple[Gpu, ...]
    gpu_note: str | None
    """Why NVML tells nothing."""


def look_at_machine() -> Machine:
    """Ask the operating system."""
    meminfo = _table(_PROC / "meminfo")
    cpuinfo = _table(_PROC / "cpuinfo")
    present = set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
    gpus, gpu_note = _gpus()
    return Machine(
        system=platform.platform(),
        processor=cpuinfo.get("model name") or platform.processor() or platform.machine(),
        cpu_features=tuple(name for name in _FEATURES if name in present),
        n_cpus=os.cpu_count(),
        n_cpus_usable=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        cpu_quota=_cpu_quota(),
        memory_bytes=_kib(meminfo.get("MemTotal")),
        memory_available_bytes=_kib(meminfo.get("MemAvailable")),
        memory_limit_bytes=_memory_limit(),
        gpus=gpus,
        gpu_note=gpu_note,
    )


def available_bytes() -> int | None:
    """Tell how much memory this process can still get: the kernel's estimate, and the cgroup's room."""
    rooms = [_kib(_table(_PROC / "meminfo").get("MemAvailable"))]
    limit, used = _memory_limit(), _number(_cgroup_file("memory.current"))
    if limit is not None and used is not None:
        rooms.append(max(limit - used, 0))
    known = [room for room in rooms if room is not None]
    return min(known, default=None)


def _table(path: Path) -> dict[str, str]:
    """Read ``name : value`` lines; the first line of a name counts."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in path.read_text(errors="replace").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                found.setdefault(name.strip(), value.strip())
    return found


def _kib(text: str | None) -> int | None:
    number = _number(text.removesuffix("kB").strip() if text else None)
    return None if number is None else number * 1024


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _cgroup_file(name: str) -> str | None:
    """Read a control file of our own cgroup, or of the root that a container sees."""
    own = _table(_PROC / "self" / "cgroup").get("0", "")
    for folder in (_CGROUP / own.removeprefix(":").lstrip("/"), _CGROUP):
        with contextlib.suppress(OSError):
            return (folder / name).read_text().strip()
    return None


def _memory_limit() -> int | None:
    limit = _number(_cgroup_file("memory.max")) or _number(_cgroup_file("memory/memory.limit_in_bytes"))
    return None if limit is None or limit >= _NO_LIMIT else limit


def _cpu_quota() -> float | None:
    quota, _, period = (_cgroup_file("cpu.max") or "").partition(" ")
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Ask NVML, which is there only with NVIDIA's driver."""
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return (), "nvidia-ml-py is not installed"
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return (), f"NVML: {error}"
    try:
        return tuple(
            _gpu(nvml.nvmlDeviceGetHandleByIndex(i), nvml) for i in range(nvml.nvmlDeviceGetCount())
        ), None
    except nvml.NVMLError as error:
        return (), f"NVML: {error}"
    finally:
        nvml.nvmlShutdown()


def _gpu(handle: object, nvml: ModuleType) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        name=str(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total),
        memory_free_bytes=int(memory.free),
    )
