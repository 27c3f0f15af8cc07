"""What goes when a tier needs room, and what need not come in: the question, apart from its answers."""

from __future__ import annotations

from typing import Literal, Protocol

from attrs import frozen

__all__ = ["EvictionPolicy", "Offer", "Room", "Verdict"]

Verdict = Literal["admit", "decline", "full"]


@frozen(kw_only=True)
class Offer:
    """What a policy knows of an entry."""

    key: str
    n_bytes: int
    """What it takes in the tier; at least 0."""
    worth_s: float
    """Seconds of prefill that this entry saves when it is used, its ancestors being there anyway."""
    parent: str | None = None
    """The entry without which this one is of no use; it need not be in the tier."""


@frozen(kw_only=True)
class Room:
    """What a tier must do before it takes an entry."""

    verdict: Verdict
    """``admit``: evict the victims, then put. ``decline``: the entry is worth less than what would have
    to go. ``full``: even without everything that may go there is no room."""
    victims: tuple[str, ...] = ()
    """Keys in the order in which they go; empty unless admitted. Without the last, room would lack."""


class EvictionPolicy(Protocol):
    """Ranks the entries of one tier; the tier holds the bytes and does what the plan says.

    A tier that takes an entry asks `plan_room`, calls `on_evict` for each victim, and `on_put`; one that is
    told to decline calls `on_decline` and keeps what it has. What always holds: an entry that is pinned
    never goes, nor does one before its children that are in the tier; no more go than are needed; equal
    histories give equal plans.

    Owner: that of the tier. Nothing here waits or knows a clock.

    Cost: O(log n) for each entry that goes, amortised, and O(1) for all else.
    """

    @property
    def name(self) -> str:
        """What `policy_named` finds it by."""
        ...

    def __len__(self) -> int:
        """Count the entries of the tier."""
        ...

    def plan_room(self, offer: Offer, *, needed_bytes: int) -> Room:
        """Choose what goes so that an entry can come in; nothing is changed by asking.

        Neither the entry of the same key nor the offer's parent and its ancestors are chosen.

        Args:
            offer: The entry that would be put.
            needed_bytes: How much must come free; nothing goes if it is 0 or less.
        """
        ...

    def plan_eviction(self, n_bytes: int) -> tuple[str, ...]:
        """Choose what goes so that so many bytes come free; nothing is changed by asking.

        Returns:
            Keys in the order in which they go; all that may go, if that is less.
        """
        ...

    def on_put(self, offer: Offer) -> None:
        """Know an entry from now on. One of the same key keeps its uses and its pin; this is no use."""
        ...

    def on_use(self, key: str) -> None:
        """Count a use; an unknown key is ignored. Tell all entries of a hit, in any order."""
        ...

    def on_evict(self, key: str) -> None:
        """Forget an entry that went because room was needed; an unknown key is ignored."""
        ...

    def on_remove(self, key: str) -> None:
        """Forget an entry that went for another reason; an unknown key is ignored."""
        ...

    def on_decline(self, key: str) -> None:
        """Learn that an entry was offered and not taken, so that it may be taken another time."""
        ...

    def on_pin(self, key: str) -> None:
        """Never choose this entry, until `on_unpin`. Count pins elsewhere; an unknown key is ignored."""
        ...

    def on_unpin(self, key: str) -> None:
        """Let this entry go again; an unknown key is ignored."""
        ...
