"""Laws of a RAM tier whose payloads lie in an arena, against a dict of what they were when they were put.

After every step everything that the arena has free is overwritten: an entry, or a state on its way that were
read after its memory was given back would show.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actorllama.errors import TierFull
from actorllama.kvcache import Block, RamTier, StoredEntry, TouchedMemory, root_key
from actorllama.kvcache.arena_prefault import PAGE_BYTES

_ROOT = root_key("ab", block_tokens=1)
_LIMIT_BYTES = 24 * PAGE_BYTES
_KEYS = st.integers(0, 9)


class _RamMachine(RuleBasedStateMachine):
    """The tier answers with the very bytes, pins hold, and every byte and page is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.tier = RamTier(limit_bytes=_LIMIT_BYTES)
        # Less than the tier may keep, so that some of it is ordinary memory.
        self.memory = TouchedMemory(
            limit_bytes=20 * PAGE_BYTES, spare_bytes=6 * PAGE_BYTES, least_bytes=PAGE_BYTES
        )
        self.written: dict[str, bytes] = {}
        self.pinned: list[str] = []
        self.on_the_way: list[tuple[memoryview, bytes]] = []
        self.n_writes = 0

    def key(self, number: int) -> str:
        return Block(parent=_ROOT, tokens=(number,), payload=b"").key

    def block(self, entry: StoredEntry | None) -> Block | None:
        assert entry is None or isinstance(entry, Block)
        return entry

    @rule(number=_KEYS, n_pages=st.integers(0, 7), more=st.integers(1, PAGE_BYTES))
    def put(self, number: int, n_pages: int, more: int) -> None:
        """As a state is cut: the payload is written once, where it stays."""
        n_bytes = n_pages * PAGE_BYTES + more
        self.n_writes += 1
        mark = (self.n_writes.to_bytes(4, "little") * (n_bytes // 4 + 1))[:n_bytes]
        payload = self.memory.take(n_bytes)
        assert len(payload) == n_bytes
        payload[:] = mark
        block = Block(parent=_ROOT, tokens=(number,), payload=payload)
        del payload
        try:
            evicted = self.tier.put(block)
        except TierFull:
            return
        if evicted is None:
            return
        assert not set(evicted) & set(self.pinned)
        for key in evicted:
            del self.written[key]
        self.written[block.key] = mark

    @rule(number=_KEYS)
    def bring(self, number: int) -> None:
        """As a restore begins: whoever has the entry keeps its memory, whatever becomes of the tier."""
        entry = self.block(self.tier.get(self.key(number)))
        assert (entry is None) == (self.key(number) not in self.written)
        if entry is not None:
            payload = memoryview(entry.payload)
            self.on_the_way.append(
                (payload[len(payload) // 2 :], self.written[entry.key][len(payload) // 2 :])
            )

    @precondition(lambda self: bool(self.on_the_way))
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        del self.on_the_way[data.draw(st.integers(0, len(self.on_the_way) - 1))]

    @rule(number=_KEYS)
    def pin(self, number: int) -> None:
        if self.tier.pin(self.key(number)):
            self.pinned.append(self.key(number))

    @precondition(lambda self: bool(self.pinned))
    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        self.tier.unpin(self.pinned.pop(data.draw(st.integers(0, len(self.pinned) - 1))))

    @rule(number=_KEYS, is_eviction=st.booleans())
    def remove(self, number: int, is_eviction: bool) -> None:
        key = self.key(number)
        is_gone = self.tier.evict(key) > 0 if is_eviction else self.tier.remove(key)
        assert is_gone == (key in self.written and key not in self.pinned)
        if is_gone:
            del self.written[key]

    @rule()
    def trim(self) -> None:
        idle_bytes = self.memory.idle_bytes
        assert self.memory.trim() == idle_bytes
        assert self.memory.idle_bytes == 0

    @rule(n_pages=st.integers(0, 12))
    def touch_ahead(self, n_pages: int) -> None:
        pages = self.memory.ahead(n_pages * PAGE_BYTES)
        if pages is not None:
            pages.run()
        del pages
        facts = self.memory.statistics()
        if facts is not None:
            n_free = facts.limit_bytes - facts.used_bytes
            assert self.memory.idle_bytes >= min(n_pages * PAGE_BYTES, 6 * PAGE_BYTES, n_free)

    @invariant()
    def nothing_is_read_after_its_release(self) -> None:
        self.poison()
        for key, mark in self.written.items():
            entry = self.block(self.tier.peek(key))
            assert entry is not None
            assert bytes(entry.payload) == mark
        for payload, mark in self.on_the_way:
            assert bytes(payload) == mark

    def poison(self) -> None:
        taken: list[memoryview] = []
        while (facts := self.memory.statistics()) is not None and facts.largest_free_bytes:
            taken.append(self.memory.take(facts.largest_free_bytes))
            taken[-1][:] = b"\xa5" * len(taken[-1])

    @invariant()
    def every_byte_and_page_is_counted(self) -> None:
        assert set(self.tier.keys()) == set(self.written)
        entries = [entry for key in self.written if (entry := self.block(self.tier.peek(key))) is not None]
        facts = self.tier.statistics()
        assert facts.used_bytes == sum(entry.n_bytes for entry in entries) <= _LIMIT_BYTES
        assert facts.n_pinned == len(set(self.pinned))
        pages = self.memory.statistics()
        if pages is None:
            return
        views = [*(memoryview(entry.payload) for entry in entries), *(p for p, _ in self.on_the_way)]
        arrays = {id(view.obj): view.obj for view in views if not isinstance(view.obj, bytes | bytearray)}
        sizes = [memoryview(array).nbytes for array in arrays.values()]
        assert pages.n_pieces == len(sizes)
        assert pages.used_bytes == sum(-(-n // PAGE_BYTES) * PAGE_BYTES for n in sizes)
        assert self.tier.check().n_corrupt == 0


def prop_a_ram_tier_in_an_arena_agrees_with_a_dict() -> None:
    run_state_machine_as_test(_RamMachine)
