"""What a figure was measured on; a number without it says nothing."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import trio
from attrs import asdict, frozen

from actorllama.native import BuildInfo

__all__ = ["MachineFacts", "machine_facts"]


@frozen(kw_only=True)
class MachineFacts:
    """Processor, library and load of the machine at the time."""

    cpu: str
    n_cores: int
    memory_bytes: int
    python: str
    library: str | None
    """Version of what computes; ``None`` where a bench needs no model."""
    has_openmp: bool | None
    load_average: float
    """Of the last minute: above 0.5 before a run, others were at work and the figures are doubtful."""
    trio: str = trio.__version__

    def to_json(self) -> dict[str, object]:
        """Give the facts as plain values."""
        return asdict(self)


def machine_facts(build: BuildInfo | None = None) -> MachineFacts:
    """Describe this machine, and the build if one computes."""
    return MachineFacts(
        cpu=_cpu_name(),
        n_cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=sys.version.split()[0],
        library=None if build is None else build.version,
        has_openmp=None if build is None else build.has_openmp,
        load_average=round(os.getloadavg()[0], 2),
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
