"""Not everything need come in: most blocks are never used again."""

from __future__ import annotations

from typing import Final

from actorllama.kvcache.key_memory import KeyMemory
from actorllama.kvcache.policy import EvictionPolicy, Offer, Room

__all__ = ["SecondSight"]

_MEMORY_RATIO: Final = 4  # keys remembered for each entry: a prompt may come back after some turnovers
_REMEMBERED_MIN: Final = 64


class SecondSight:
    """Wraps a policy: an entry may push others out only if its key was offered or held before.

    While there is room everything comes in. It is meant for a tier where writing costs: it writes less,
    and keeps a scan from emptying the tier; the price is that the first reuse of everything is lost. A
    caller that is told to decline should tell `on_decline` of the entry and of all its descendants that
    it would have put next: without their parent they are of no use, and next time all of them come in.

    Source: the doorkeeper of TinyLFU (Einziger et al., ACM TOS 2017), with an exact list for its filter.
    """

    def __init__(self, policy: EvictionPolicy) -> None:
        """Wrap a fresh policy, which nobody else uses."""
        self.name = f"{policy.name}+second-sight"
        self._policy = policy
        self._memory = KeyMemory()

    def __repr__(self) -> str:
        """Name what is wrapped."""
        return f"<SecondSight of {self._policy!r}>"

    def __len__(self) -> int:
        """Count the entries of the tier."""
        return len(self._policy)

    def plan_room(self, offer: Offer, *, needed_bytes: int) -> Room:
        """Choose what goes; decline what would push others out and was never seen."""
        room = self._policy.plan_room(offer, needed_bytes=needed_bytes)
        if room.victims and offer.key not in self._memory:
            return Room(verdict="decline")
        return room

    def plan_eviction(self, n_bytes: int) -> tuple[str, ...]:
        """Choose what goes."""
        return self._policy.plan_eviction(n_bytes)

    def on_put(self, offer: Offer) -> None:
        """Know an entry from now on."""
        self._memory.forget(offer.key)
        self._policy.on_put(offer)

    def on_use(self, key: str) -> None:
        """Count a use."""
        self._policy.on_use(key)

    def on_evict(self, key: str) -> None:
        """Forget an entry, but not that it was here."""
        self._policy.on_evict(key)
        self._remember(key)

    def on_remove(self, key: str) -> None:
        """Forget an entry."""
        self._policy.on_remove(key)

    def on_decline(self, key: str) -> None:
        """Let this entry in when it is offered again."""
        self._policy.on_decline(key)
        self._remember(key)

    def on_pin(self, key: str) -> None:
        """Never choose this entry, until `on_unpin`."""
        self._policy.on_pin(key)

    def on_unpin(self, key: str) -> None:
        """Let this entry go again."""
        self._policy.on_unpin(key)

    def _remember(self, key: str) -> None:
        self._memory.remember(key, n_keys_max=_MEMORY_RATIO * len(self) + _REMEMBERED_MIN)
