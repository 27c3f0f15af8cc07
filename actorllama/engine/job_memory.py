"""Memory that the jobs of the cache fill in their threads."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, frozen

from actorllama.kvcache import Allocate, ArenaStatistics, Prefault, TouchedMemory, fresh_memory

__all__ = ["JobMemory", "MemoryLoan"]

_LEAST_BYTES = 1 << 16  # a payload that is smaller would waste too much of its last page
_LEAST_STATE_BYTES = 1 << 18  # a state that is smaller is put together in ordinary memory
_TRIM_BYTES = 256 << 20  # at a time: 16 ms of the event loop at worst


@frozen(kw_only=True)
class MemoryLoan:
    """Memory that one job has for itself until its owner takes it back."""

    keep: Allocate = fresh_memory
    """For what may stay in the RAM tier."""
    join: Allocate = fresh_memory
    """For states, which are gone in milliseconds."""
    payloads: TouchedMemory | None = None
    """Where ``keep`` takes it from, if that is lent."""
    transit: TouchedMemory | None = None
    """Where ``join`` takes it from, if that is lent."""

    @property
    def touched_bytes(self) -> int:
        """Bytes that ``join`` can give out of pages that were touched before."""
        return 0 if self.transit is None else self.transit.idle_bytes


class JobMemory:
    """An arena for the RAM tier's payloads, and one for states on their way; each lent to one job at a time.

    A payload is written once, into pages of the arena that were touched before, and the RAM tier keeps it
    there. Its pages are free again when the entry has gone and nobody who brings it to a sequence refers to
    it any more.

    Owner: the cache actor. Only who has a loan uses what was lent.
    """

    def __init__(
        self, *, ram_limit_bytes: int, pending_limit_bytes: int, trim_bytes: int = _TRIM_BYTES
    ) -> None:
        """Map nothing yet.

        Args:
            ram_limit_bytes: Most bytes that the RAM tier keeps.
            pending_limit_bytes: Most bytes that are being cut while the tier is full.
            trim_bytes: Most bytes that go back to the system at a time.
        """
        self._ram_limit_bytes = ram_limit_bytes
        self._trim_bytes = trim_bytes
        self._payloads: TouchedMemory | None = TouchedMemory(
            # Address space: the tier's limit holds for what is kept, and pages are whole.
            limit_bytes=ram_limit_bytes + ram_limit_bytes // 16 + pending_limit_bytes
            if ram_limit_bytes
            else 0,
            spare_bytes=ram_limit_bytes,
            n_spare=1,  # what is kept next has the pages of what leaves for it
            roomy_bytes=0,
            least_bytes=_LEAST_BYTES,
        )
        self._transit: TouchedMemory | None = TouchedMemory()
        self._is_trim_wanted = False

    def lend_for_cutting(self) -> MemoryLoan:
        """Lend what parts of a state are written into; while another job has it, that is ordinary memory."""
        payloads, self._payloads = self._payloads, None
        return MemoryLoan(keep=fresh_memory if payloads is None else payloads.take, payloads=payloads)

    def lend_for_bringing(self, *, reads: bool) -> MemoryLoan:
        """Lend what a state is put together in, and, if some of it is read, what that is read into."""
        transit, self._transit = self._transit or TouchedMemory(), None
        if not reads or self._ram_limit_bytes == 0:  # without a RAM tier nothing that was read is kept
            return MemoryLoan(keep=transit.take, join=transit.take, transit=transit)
        return evolve(self.lend_for_cutting(), join=transit.take, transit=transit)

    def take_back(self, loan: MemoryLoan) -> None:
        """Take memory back from a job that has ended, in whatever way."""
        self._transit = loan.transit or self._transit
        self._payloads = loan.payloads or self._payloads
        if loan.transit is not None and loan.payloads is not None:
            loan.payloads.expect(loan.transit.largest_bytes)  # parts that were read are a state together

    def statistics(self) -> ArenaStatistics | None:
        """Tell how the pages of the RAM tier are used; ``None`` while a job has them, and before."""
        return None if self._payloads is None else self._payloads.statistics()

    def ahead(self, sizes: Iterable[int]) -> Prefault | None:
        """Say what must be touched so that entries of these sizes can be kept next; ``None`` if nothing."""
        n_bytes = sum(size for size in sizes if size >= _LEAST_BYTES)
        return None if self._payloads is None or not n_bytes else self._payloads.ahead(n_bytes)

    def ahead_of_bringing(self, n_bytes: int) -> Prefault | None:
        """Say what must be touched so that so large a state can be put together next; ``None`` if nothing."""
        is_small = n_bytes < _LEAST_STATE_BYTES
        return None if self._transit is None or is_small else self._transit.ahead(n_bytes)

    @property
    def idle_bytes(self) -> int:
        """Bytes that `drop` would give back now: what jobs have, and what goes anyway, is not counted."""
        payloads_bytes = 0 if self._payloads is None or self._is_trim_wanted else self._payloads.idle_bytes
        transit_bytes = 0 if self._transit is None else self._transit.idle_bytes
        return min(payloads_bytes + transit_bytes, self._trim_bytes)

    def drop(self, n_bytes: int) -> int:
        """Give up pages that were kept for what comes next; return their bytes, at most a portion."""
        n_left = min(n_bytes, self._trim_bytes)
        for memory in (self._transit, None if self._is_trim_wanted else self._payloads):
            if memory is not None and n_left > 0:
                n_left -= memory.trim(limit_bytes=n_left)
        return min(n_bytes, self._trim_bytes) - n_left

    def rest(self) -> None:
        """Keep nothing for what comes next: nothing has come for a while. The next calls of `trim` go on."""
        if self._transit is not None:
            self._transit.trim(limit_bytes=self._trim_bytes)
        self.want_trim()

    def want_trim(self) -> None:
        """Have free pages go back to the system: the next calls of `trim` do it."""
        self._is_trim_wanted = True

    def trim(self) -> bool:
        """Give some of them back, if that is wanted; tell whether there are more that can go now."""
        if not self._is_trim_wanted or self._payloads is None:
            return False
        self._payloads.trim(limit_bytes=self._trim_bytes)
        self._is_trim_wanted = self._payloads.idle_bytes > 0
        return self._is_trim_wanted
