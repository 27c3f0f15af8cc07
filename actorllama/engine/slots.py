"""Which sequence ids are free."""

from __future__ import annotations

from collections import deque

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
        # The one that has been free for longest goes next: what an idle sequence still holds stays
        # useful for as long as possible.
        self._free = deque(SeqId(seq_id) for seq_id in range(n_slots))
        self._leased: set[SeqId] = set()

    @property
    def n_free(self) -> int:
        """Sequences that nobody has."""
        return len(self._free)

    @property
    def n_slots(self) -> int:
        """Sequences in all."""
        return self._n_slots

    def lease(self) -> SeqId:
        """Take a free sequence.

        Raises:
            NoFreeSlot: All are leased.
        """
        if not self._free:
            raise NoFreeSlot(n_slots=self._n_slots)
        seq_id = self._free.popleft()
        self._leased.add(seq_id)
        return seq_id

    def release(self, seq_id: SeqId) -> None:
        """Give a leased sequence back."""
        assert seq_id in self._leased, f"sequence {seq_id} is not leased"
        self._leased.remove(seq_id)
        self._free.append(seq_id)
