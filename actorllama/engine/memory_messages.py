"""What the pressure actor and the model actors tell each other about memory: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from actorllama.actors import Call
from actorllama.engine.pressure_view import ShowPressure
from actorllama.native.memory import MemoryDomain, MemoryReading
from actorllama.native.memory_devices import BufferSize

__all__ = [
    "AskRoom",
    "CloseDoor",
    "ContextParked",
    "ContextReopened",
    "DropScratch",
    "HeldMemory",
    "LeaveMemory",
    "MemoryCall",
    "MemoryNotice",
    "MemoryView",
    "OfferHeld",
    "OpenDoor",
    "Park",
    "Parked",
    "PressureCall",
    "PressureOver",
    "ReadMemory",
    "WhyGone",
]


@frozen(kw_only=True)
class HeldMemory:
    """What a loaded model holds."""

    context: tuple[BufferSize, ...]
    """Of its context; empty while that is put aside."""
    weights: tuple[BufferSize, ...]
    scratch_bytes: int
    """Of pages that hold nothing and are kept for the next copy of a sequence; about."""
    is_active: bool
    """Whether it serves a turn, or one waits."""
    used_at_s: float
    """When it last took or ended a turn, on trio's clock."""


@frozen(kw_only=True)
class OfferHeld(Call["HeldMemory | None"]):
    """Ask what a model holds; ``None`` while it is being loaded, put aside or brought back."""


@frozen(kw_only=True)
class Parked:
    """A context was put aside."""

    freed: tuple[BufferSize, ...]
    kept_bytes: int
    """What of its cells was not in the cache yet, and is now."""


@frozen(kw_only=True)
class Park(Call["Parked | None"]):
    """Put an idle context aside: its cells go into the cache, its memory is free.

    The reply is ``None`` if it is not idle. The next turn brings it back.
    """


@frozen(kw_only=True)
class DropScratch(Call[int]):
    """Give up pages that are kept for the next copy of a sequence; the reply is the bytes won.

    Sent as info it concerns all of them, and only if the model has not been used for a while.
    """

    n_bytes: int


@frozen(kw_only=True)
class LeaveMemory(Call[bool]):
    """Unload an idle model, for this reason; False, and nothing happens, if it is not idle."""

    reason: str


MemoryCall: TypeAlias = OfferHeld | Park | DropScratch | LeaveMemory


@frozen(kw_only=True)
class CloseDoor:
    """Take no new turns, for this reason; those that were taken go on."""

    reason: str


@frozen(kw_only=True)
class OpenDoor:
    """Take turns again."""


@frozen(kw_only=True)
class PressureOver:
    """Memory is there again: what was brought back smaller may grow when it is idle."""


@frozen(kw_only=True)
class ContextParked:
    """The context of a model is closed, or there was an error."""

    parked: Parked
    error: Exception | None = None


@frozen(kw_only=True)
class ContextReopened:
    """The context of a model is open again, or there was an error."""

    error: Exception | None = None


MemoryNotice: TypeAlias = CloseDoor | OpenDoor | PressureOver | ContextParked | ContextReopened


@frozen(kw_only=True)
class AskRoom(Call[float]):
    """Ask the pressure actor how much of these buffers there is room for now: 0 to 1."""

    buffers: tuple[BufferSize, ...]


@frozen(kw_only=True)
class MemoryView:
    """What is used and free, as far as anybody knows."""

    readings: tuple[MemoryReading, ...] = ()
    devices: Mapping[str, MemoryDomain] = field(factory=dict[str, MemoryDomain])
    """Where the memory of each compute device lies, by its name, in llama.cpp's order."""

    def free_bytes(self, domain: MemoryDomain) -> int | None:
        """Give what every limit of a domain leaves; ``None`` where nobody knows."""
        free = [reading.free_bytes for reading in self.readings if reading.domain == domain]
        return min((n_bytes for n_bytes in free if n_bytes is not None), default=None)


@frozen(kw_only=True)
class ReadMemory(Call[MemoryView]):
    """Ask the pressure actor what is used and free."""


@frozen(kw_only=True)
class WhyGone(Call["str | None"]):
    """Ask the pressure actor why it had a model unloaded; ``None`` if it had not."""

    model: str


PressureCall: TypeAlias = AskRoom | ReadMemory | ShowPressure | WhyGone
