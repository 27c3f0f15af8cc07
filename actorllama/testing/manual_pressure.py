"""A memory source whose figures a test sets: pressure on demand, on any domain, without filling memory."""

from __future__ import annotations

from actorllama.native.memory import HOST, MemoryDomain, MemoryReading, SourceReport

__all__ = ["ManualPressure"]


class ManualPressure:
    """A source of readings. It has nothing to say about a domain before ``set``.

    Owner: the test. One thread may set while another reads: a reading is replaced whole.
    """

    name = "manual"

    def __init__(self) -> None:
        """Know of no domain yet."""
        self._readings: dict[MemoryDomain, MemoryReading] = {}
        self._why_not = ""
        self.n_reads = 0
        self.is_closed = False

    def set(
        self,
        domain: MemoryDomain = HOST,
        *,
        used_bytes: int | None = None,
        limit_bytes: int | None = None,
        stall_share: float | None = None,
    ) -> None:
        """Say what every reading of a domain tells from now on.

        Raises:
            ValueError: One of ``used_bytes`` and ``limit_bytes`` alone, or a figure that cannot be.
        """
        reading = MemoryReading(
            domain=domain,
            source=self.name,
            used_bytes=used_bytes,
            limit_bytes=limit_bytes,
            stall_share=stall_share,
        )
        self._readings = {**self._readings, domain: reading}

    def free(self, domain: MemoryDomain, n_bytes: int) -> None:
        """Take bytes off what is used, as an owner that gave them back would.

        Raises:
            KeyError: The domain has no figures yet.
        """
        known = self._readings[domain]
        used = max(0, (known.used_bytes or 0) - n_bytes)
        self.set(domain, used_bytes=used, limit_bytes=known.limit_bytes, stall_share=known.stall_share)

    def fail(self, why_not: str) -> None:
        """Have nothing to say, for this reason, until the next ``set``."""
        self._readings = {}
        self._why_not = why_not

    def read(self) -> SourceReport:
        """Tell what was set last."""
        self.n_reads += 1
        readings = tuple(self._readings.values())
        return SourceReport(
            source=self.name,
            readings=readings,
            why_not="" if readings else self._why_not or "nothing was set",
        )

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True
