"""What the bench asks of whoever is measured, and what it hears back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from actorllama.bench.peers.memory import MemoryUse

__all__ = ["Ask", "Contestant", "Setup", "Taken"]


@frozen(kw_only=True)
class Setup:
    """How a contestant is to be started: the same for all of them."""

    model: Path
    n_slots: int
    """Conversations that can be computed side by side, each in a context of its own."""
    ctx_per_slot: int
    n_threads: int
    ram_cache_bytes: int
    """Budget of what is kept in memory besides the live contexts; 0 keeps nothing."""
    root: Path
    """A directory of this contestant: its log, and all that it saves."""
    is_bare: bool = False
    """Whether nothing at all is to be kept besides the live contexts, by who could do without."""
    n_banned: int = 0
    """Tokens 128 to 127 + n_banned are never chosen: in a random model they are bytes of no character, which
    some hold back, and then leave out of what they tell. Ends of a reply are never chosen either."""
    library: Path | None = None
    """The directory of the libllama that contestants in Python load; ``None``: their own."""

    @property
    def banned(self) -> range:
        """Tokens that are never chosen."""
        return range(128, 128 + self.n_banned)

    @property
    def saved(self) -> Path:
        """Where the contestant keeps what outlives it."""
        return self.root / "saved"


@frozen(kw_only=True)
class Ask:
    """One turn: the whole conversation so far, as token ids, and how many tokens to answer with."""

    conversation: int
    prompt: tuple[int, ...] = field(repr=lambda ids: f"<{len(ids)} tokens>")
    n_reply: int
    after: str | None = None
    """What the contestant called the turn that this one goes on from, where it names its turns."""
    slot: int | None = None
    """Which slot to use, for contestants whose slots are saved by number; ``None``: their choice."""


@frozen(kw_only=True)
class Taken:
    """What came of a turn. Times are of ``time.perf_counter``, which all processes of a machine share."""

    asked_s: float
    arrivals: tuple[tuple[float, int], ...] = field(repr=False)
    """When text came, and of how many tokens."""
    reply: tuple[int, ...] = field(repr=False)
    """Token ids; of a contestant that tells text only, its bytes."""
    n_prompt: int
    n_computed: int | None
    """Prompt tokens that were computed; ``None`` where the contestant does not tell."""
    key: str | None = None
    """What it calls this turn, for the one that goes on from it."""

    @property
    def first_token_s(self) -> float:
        """Seconds from asking until the first text came."""
        return self.arrivals[0][0] - self.asked_s

    @property
    def ended_s(self) -> float:
        """When the last text came."""
        return self.arrivals[-1][0]

    @property
    def n_tokens(self) -> int:
        """Tokens of the reply."""
        return sum(n for _, n in self.arrivals)


class Contestant(Protocol):
    """A way to take turns with a model, in a process of its own."""

    @property
    def pid(self) -> int:
        """The process that computes."""
        ...

    async def start(self) -> None:
        """Start the process; return when it takes turns."""
        ...

    async def take(self, ask: Ask) -> Taken:
        """Take a turn; others may run beside it."""
        ...

    async def settle(self, slots: Sequence[int]) -> None:
        """Save what these slots hold, if it shall outlive the process and is not saved by itself."""
        ...

    async def bring_back(self, slot: int) -> None:
        """Fetch what `settle` saved, if that does not happen by itself; its time counts."""
        ...

    async def memory(self) -> MemoryUse:
        """Say what the process takes."""
        ...

    async def stop(self) -> None:
        """End the process politely, and by force if it will not."""
        ...

    def kill(self) -> None:
        """End the process at once."""
        ...
