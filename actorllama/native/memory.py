"""Memory readings: whose memory, how much of it is used, and how long tasks wait for it.

Several sources look at the same memory from different sides (the machine, each cgroup above this process,
a limit of the process itself); none of them adds up with another. Whoever decides takes the tightest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from attrs import Attribute, field, frozen, validators

__all__ = [
    "HOST",
    "CallbackSource",
    "MemoryDomain",
    "MemoryReading",
    "MemorySource",
    "SourceReport",
    "tightest",
]


@frozen(kw_only=True)
class MemoryDomain:
    """Memory that is freed only by freeing something that lies in it.

    ``index`` is that of the GPU in NVML, which a MIG instance shares with its siblings; ``uuid`` and ``pci``
    (as ``0000:c1:00.0``) name the device whatever its index. Two domains are the same if all four are.
    """

    kind: Literal["host", "gpu"]
    index: int = 0
    uuid: str = ""
    pci: str = ""

    @property
    def name(self) -> str:
        """Give the name for events: ``host``, ``gpu0``, ``gpu1:MIG-...`` for an instance."""
        if self.kind == "host":
            return "host"
        return f"gpu{self.index}:{self.uuid}" if self.uuid.startswith("MIG") else f"gpu{self.index}"


HOST = MemoryDomain(kind="host")
"""The memory of this machine, as far as this process may use it."""


def _not_above_one(_: object, attribute: Attribute[float | None], value: float | None) -> None:
    if value is not None and not 0.0 <= value <= 1.0:
        raise ValueError(f"{attribute.name} must be within 0 and 1: {value!r}")


@frozen(kw_only=True)
class MemoryReading:
    """What one source saw once.

    ``used_bytes`` and ``limit_bytes`` are both there or both absent: a source that only knows about waiting
    has neither. ``stall_share`` is the part of the last ten seconds in which some task waited for memory.
    """

    domain: MemoryDomain
    source: str
    used_bytes: int | None = field(default=None, validator=validators.optional(validators.ge(0)))
    limit_bytes: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    stall_share: float | None = field(default=None, validator=_not_above_one)

    def __attrs_post_init__(self) -> None:
        """Refuse half a reading."""
        if (self.used_bytes is None) != (self.limit_bytes is None):
            raise ValueError("used_bytes and limit_bytes belong together")

    @property
    def used_share(self) -> float | None:
        """Give used memory by limit; above 1 where the limit was lowered, ``None`` where it is not known."""
        if self.used_bytes is None or self.limit_bytes is None:
            return None
        return self.used_bytes / self.limit_bytes

    @property
    def free_bytes(self) -> int | None:
        """Give what may still be used, at least 0; ``None`` where it is not known."""
        if self.used_bytes is None or self.limit_bytes is None:
            return None
        return max(0, self.limit_bytes - self.used_bytes)


@frozen(kw_only=True)
class SourceReport:
    """What a source had to say. ``why_not`` names what it could not read; empty if that is nothing."""

    source: str
    readings: tuple[MemoryReading, ...] = ()
    why_not: str = ""

    @property
    def is_available(self) -> bool:
        """Say whether there is at least one reading."""
        return bool(self.readings)


class MemorySource(Protocol):
    """Something that can be asked about memory, again and again. Owner: one thread at a time."""

    @property
    def name(self) -> str:
        """Name the source, for readings and events."""
        ...

    def read(self) -> SourceReport:
        """Look once. Never raises and never waits: what cannot be read is said in ``why_not``.

        Cost: below a millisecond; the first call of a source may load a library.
        """
        ...

    def close(self) -> None:
        """Give back what the source holds; safe to call again, and ``read`` may follow."""
        ...


class CallbackSource:
    """Asks the program that embeds us: for memory that only it can see.

    Owner: whoever made it.
    """

    def __init__(self, read: Callable[[], Iterable[MemoryReading]], *, name: str = "callback") -> None:
        """Take the function; it is called at each reading, on the reader's thread."""
        self._read = read
        self._name = name

    @property
    def name(self) -> str:
        """Name the source."""
        return self._name

    def read(self) -> SourceReport:
        """Call the function; what it raises, and what is no reading, is told in ``why_not``."""
        try:
            readings = tuple(self._read())
        except Exception as exc:  # noqa: BLE001 - the user's code: its fault must not end the readings
            return SourceReport(source=self._name, why_not=f"{type(exc).__name__}: {exc}")
        kept = tuple(reading for reading in readings if isinstance(reading, MemoryReading))
        odd = [type(reading).__name__ for reading in readings if not isinstance(reading, MemoryReading)]
        why_not = f"gave {', '.join(odd)} where a MemoryReading belongs" if odd else ""
        return SourceReport(source=self._name, readings=kept, why_not=why_not)

    def close(self) -> None:
        """Do nothing: the function is not ours."""


def tightest(readings: Iterable[MemoryReading], domain: MemoryDomain) -> MemoryReading | None:
    """Find the reading of a domain that leaves the least of it; ``None`` without one that knows."""
    known = [r for r in readings if r.domain == domain and r.used_share is not None]
    return max(known, key=lambda reading: reading.used_share or 0.0, default=None)
