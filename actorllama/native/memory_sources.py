"""The sources that a program reads by default, opened when they are first asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actorllama.native.memory import MemorySource, SourceReport
from actorllama.native.memory_cgroup import CgroupSource
from actorllama.native.memory_host import ProcessLimitSource, StallSource, SystemSource
from actorllama.native.memory_nvml import NvmlSource

__all__ = ["default_sources", "read_all"]


def default_sources() -> tuple[MemorySource, ...]:
    """Make the sources for this machine: its memory, stalls, cgroups, the process's limit, its GPUs.

    None of them is opened yet, and none is an error where it is absent.
    """
    return (SystemSource(), StallSource(), CgroupSource(), ProcessLimitSource(), NvmlSource())


def read_all(sources: Iterable[MemorySource]) -> Sequence[SourceReport]:
    """Ask each source once, in order.

    Cost: well below a millisecond for the default sources, once they are open. The first call loads the
    driver's library, and psutil where there is no ``/proc/meminfo``: make it on a thread that may wait.
    """
    return tuple(source.read() for source in sources)
