"""Which sequence ids are free."""

from __future__ import annotations

from collections.abc import Container

from actorllama.errors import NoFreeSlot
from actorllama.ids import SeqId

__all__ = ["SlotPool"]


class SlotPool:
    """Lease the sequence ids of one context; each is leased at most once at a time.

    Owner: the model actor.
    """

    def __init__(self, n_slots: int) -> None:
        """Begin with ``n_slots`` free sequences, ``0 <= seq_id < n_slots``."""
        self._n_slots = n_slots
        # Ordered: the one that has been free for longest is first.
        self._free = dict.fromkeys(SeqId(seq_id) for seq_id in range(n_slots))
        self._leased: set[int] = set()

    @property
    def n_free(self) -> int:
        """Sequences that nobody has."""
        return len(self._free)

    @property
    def n_slots(self) -> int:
        """Sequences in all."""
        return self._n_slots

    @property
    def free_ids(self) -> tuple[SeqId, ...]:
        """Sequences that nobody has; the one that has been free for longest is first."""
        return tuple(self._free)

    def lease(self, preferred: SeqId | None = None, *, spare: Container[SeqId] = ()) -> SeqId:
        """Take a free sequence.

        Args:
            preferred: Take this one, which must be free; ``None`` takes one beside leased ones, and of
                equals the one that has been free for longest.
            spare: Of equals, these are taken last.

        Raises:
            NoFreeSlot: All are leased.

        Cost: one look at each free sequence.
        """
        if not self._free:
            raise NoFreeSlot(n_slots=self._n_slots)
        # llama.cpp computes only sequences whose ids follow each other in one pass over the weights
        # (plan.py), so density decides. After it age: what an idle sequence holds stays useful for longer.
        # max() returns the first of equals.
        seq_id = max(self._free, key=lambda free: self._rank(free, spare)) if preferred is None else preferred
        assert seq_id in self._free, f"sequence {seq_id} is not free"
        del self._free[seq_id]
        self._leased.add(seq_id)
        return seq_id

    def release(self, seq_id: SeqId) -> None:
        """Give a leased sequence back."""
        assert seq_id in self._leased, f"sequence {seq_id} is not leased"
        self._leased.remove(seq_id)
        self._free[seq_id] = None

    def _rank(self, seq_id: SeqId, spare: Container[SeqId]) -> tuple[int, bool]:
        n_leased_beside = (seq_id - 1 in self._leased) + (seq_id + 1 in self._leased)
        return n_leased_beside, seq_id not in spare
