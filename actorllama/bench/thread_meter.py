"""The processor's time that threads of one name take."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["ThreadMeter"]


class ThreadMeter:
    """Adds up seconds of the processor that threads of a name take in blocks that are measured.

    Unlike the whole process' time it hardly shows what other processes do meanwhile. A thread that ends in
    a block is not counted for it.

    Owner: the task that measures.
    """

    def __init__(self, name: str) -> None:
        """Begin at nothing, for threads called ``name``."""
        self._name = name
        self.cpu_s: float | None = 0.0
        """``None`` where the system does not tell (it is Linux that does)."""

    @contextmanager
    def measuring(self) -> Generator[None, None, None]:
        """Count what they take in the block."""
        before = self._now()
        yield
        after = self._now()
        if before is None or after is None or self.cpu_s is None:
            self.cpu_s = None
        else:
            self.cpu_s += sum(cpu_s - before.get(thread, 0.0) for thread, cpu_s in after.items())

    def _now(self) -> dict[threading.Thread, float] | None:
        if sys.platform != "linux":
            return None
        found: dict[threading.Thread, float] = {}
        for thread in threading.enumerate():
            if thread.name == self._name and thread.ident is not None:
                found[thread] = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        return found
