"""How many processors this process may really use, and how many threads a model is worth."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["plan_threads", "usable_cpus"]

_CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_SMALL_WEIGHTS_BYTES = 8 * 1024 * 1024


def usable_cpus(cpu_max: Path = _CGROUP_CPU_MAX) -> int:
    """Return the processors that this process may use at once, at least 1.

    The affinity mask, cut by the cgroup's quota: a container on a large machine sees all its
    processors and may use two of them.

    Args:
        cpu_max: The cgroup v2 file with quota and period in microseconds.
    """
    n_affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text(encoding="ascii").split()
        n_quota = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return n_affine  # no cgroup v2, or "max": no quota
    return max(1, min(n_affine, n_quota))


def plan_threads(*, n_cpus: int, weights_bytes: int) -> int:
    """Decide how many threads compute a model when nobody says.

    ggml's threads meet at a spinning barrier after every operation. Where an operation takes a few
    microseconds the barrier costs more than the second thread brings; and on a machine where
    somebody else wants the processor, one preempted thread makes all others spin: a model of 3 MB
    was measured at 3,600 tokens/s with one thread and at 21 with two, on two busy cores.
    """
    return 1 if weights_bytes < _SMALL_WEIGHTS_BYTES else n_cpus
