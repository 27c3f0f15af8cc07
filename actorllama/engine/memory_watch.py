"""The sources of memory readings, looked at in a thread."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from actorllama.native import Backend
from actorllama.native.memory import MemoryDomain, MemorySource, SourceReport
from actorllama.native.memory_devices import match_devices
from actorllama.native.memory_sources import default_sources, read_all
from actorllama.native.memory_trim import trim_heap

__all__ = ["MemoryWatch"]


class MemoryWatch:
    """Read every source, and know where the backend's devices have their memory.

    Owner: the pressure actor; all methods run in worker threads, one at a time.
    """

    def __init__(self, sources: Sequence[MemorySource] | None, backend: Backend) -> None:
        """Look at ``sources``; ``None`` are those of this machine, made at the first look."""
        self._sources = sources
        self._backend = backend
        self._matched_for: frozenset[MemoryDomain] | None = None
        self._matched: Mapping[str, MemoryDomain] = {}

    def look(self) -> tuple[SourceReport, ...]:
        """Ask each source once."""
        if self._sources is None:
            self._sources = default_sources()
        return tuple(read_all(self._sources))

    def trim_and_look(self) -> tuple[SourceReport, ...]:
        """Have what was freed leave the process, then look."""
        trim_heap()
        return self.look()

    def devices(self, domains: frozenset[MemoryDomain]) -> Mapping[str, MemoryDomain]:
        """Say in which of these domains each compute device has its memory.

        Cost: see `Backend.devices`, for each new set of domains.
        """
        if self._matched_for != domains:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            gpus = sorted((d for d in domains if d.kind == "gpu"), key=lambda domain: domain.name)
            self._matched = match_devices(self._backend.devices(), gpus, visible=visible)
            self._matched_for = domains
        return self._matched

    def close(self) -> None:
        """Give back what the sources hold."""
        for source in self._sources or ():
            source.close()
