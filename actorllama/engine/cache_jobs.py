"""The work of the cache that may take longer than an event loop should stand still."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import TypeAlias

from attrs import field, frozen

from actorllama.engine.cache_messages import FindPrefix, KeepCells
from actorllama.engine.commands import RestoredState
from actorllama.engine.job_memory import MemoryLoan
from actorllama.errors import CacheError, StateError
from actorllama.kvcache import (
    Block,
    Boundary,
    Chain,
    ChainReader,
    Prefault,
    PrefetchJob,
    PrefixHit,
    PutReport,
    ReadJob,
    ReadOutcome,
    ReusedMemory,
    RowSpan,
    SnapshotStore,
    StoredEntry,
    WriteJob,
    fresh_memory,
)

__all__ = ["Bring", "Brought", "CacheJob", "JobOutcome", "Prefetch", "Split", "Touch", "Write", "begun"]

_INLINE_BYTES = 1 << 18  # copying this much takes some tens of microseconds; a hop to a thread takes 100
# A child, its thread and the way back take half a millisecond, most of it on the event loop. This much takes
# three in pages that were touched; into others it may take a hundred.
_INLINE_TOUCHED_BYTES = 32 << 20


@frozen(kw_only=True)
class Split:
    """Cut the cells of a turn into entries."""

    message: KeepCells
    chain: Chain
    first_block: int
    """Blocks before this one are stored already."""
    held: tuple[StoredEntry, ...] = field(default=(), repr=False)
    """Those of them that only memory has, and that must come onto the disk with the turn."""
    is_rounded: bool = False
    """Whether the disk tier rounds rows, and must be told where they lie."""
    memory: MemoryLoan = field(factory=MemoryLoan, repr=False, eq=False)

    @property
    def is_quick(self) -> bool:
        """Whether it may run on the event loop."""
        return len(self.message.kv or b"") <= _INLINE_BYTES

    def run(self) -> tuple[StoredEntry, ...] | StateError:
        """Cut; blocks come root first, then the boundary."""
        message, chain = self.message, self.chain
        if message.kv is None:
            return ()
        n = chain.block_tokens
        try:
            parts = message.cutter.split(
                memoryview(message.kv),
                block_tokens=n,
                first_block=self.first_block,
                allocate=self.memory.keep,
            )
        except StateError as exc:
            return exc
        token_s = message.token_s or 0.0
        entries: list[StoredEntry] = []
        for index, payload in enumerate(parts.blocks, start=self.first_block):
            parent = chain.blocks[index - 1] if index else chain.root
            tokens = message.tokens[index * n : (index + 1) * n]
            spans = self._spans(payload)
            block = Block(parent=parent, tokens=tokens, payload=payload, worth_s=n * token_s, spans=spans)
            entries.append(block)
        if parts.boundary is not None:
            # Without the sections that a boundary alone has, nothing of the whole prefix could be used.
            n_worth = chain.n_cells if message.cutter.needs_boundary else len(chain.tail)
            entries.append(
                Boundary(
                    parent=chain.parent,
                    tail=chain.tail,
                    payload=parts.boundary,
                    worth_s=n_worth * token_s,
                    spans=self._spans(parts.boundary),
                )
            )
        return tuple(entries)

    def _spans(self, payload: memoryview) -> tuple[RowSpan, ...]:
        if not self.is_rounded:
            return ()
        rows = self.message.cutter.float_rows(payload)
        return tuple(RowSpan(offset=row.offset, n_bytes=row.n_bytes, element=row.element) for row in rows)


@frozen(kw_only=True)
class Brought:
    """What came of bringing a state."""

    read: ReadOutcome
    """What came from the disk."""
    restore: RestoredState | StateError | None
    """The state; why its parts make none; or ``None`` if one of them was missing."""


@frozen(kw_only=True)
class Bring:
    """Read the parts of a hit, as far as they are not in memory, and put them together.

    Each block that nobody keeps is read, checked and copied to its place before the next is opened, all in
    one small piece of memory; so there is one copy of the state, and its pages are the only ones.
    """

    question: FindPrefix
    hit: PrefixHit
    job: ReadJob
    """Holds what is in memory: it cannot be evicted away from under the job."""
    memory: MemoryLoan = field(factory=MemoryLoan, repr=False, eq=False)
    began_s: float = field(factory=perf_counter)

    @property
    def is_quick(self) -> bool:
        """Whether it may run on the event loop."""
        n_bytes = sum(entry.n_bytes for entry in self.job.held.values())
        n_untouched = n_bytes - self.memory.touched_bytes
        return not self.job.needs_disk and n_bytes <= _INLINE_TOUCHED_BYTES and n_untouched <= _INLINE_BYTES

    def run(self) -> Brought:
        """Make the state that the asker's context restores."""
        hit, reader = self.hit, self.job.reader()
        boundary: memoryview | None = None
        if hit.boundary is not None:  # first, for it tells how large the whole is
            tail = reader.take(hit.boundary, keep=self.memory.keep, passing=fresh_memory)
            if tail is None:
                return Brought(read=reader.outcome(), restore=None)
            assert isinstance(tail, Boundary), "other kinds have other keys"
            boundary = memoryview(tail.payload)
        blocks = self._blocks(reader)
        try:
            kv = self.question.cutter.join(
                blocks if self.job.needs_disk else tuple(blocks),
                boundary,
                n_blocks=len(hit.blocks),
                allocate=self.memory.join,
            )
        except StateError as exc:
            read = reader.outcome()
            return Brought(read=read, restore=None if read.missing is not None else exc)
        restore = RestoredState(kv=kv, n_cells=hit.n_cells, source=hit.tier)
        return Brought(read=reader.outcome(), restore=restore)

    def _blocks(self, reader: ChainReader) -> Iterator[memoryview]:
        """Give the rows of one block after the other; it ends before one that cannot be had."""
        passing = ReusedMemory(self.memory.join)
        for key in self.hit.blocks:
            entry = reader.take(key, keep=self.memory.keep, passing=passing)
            if entry is None:
                return
            assert isinstance(entry, Block), "other kinds have other keys"
            yield memoryview(entry.payload)


@frozen(kw_only=True)
class Prefetch:
    """Read a turn that nobody has asked for yet."""

    job: PrefetchJob
    memory: MemoryLoan = field(repr=False, eq=False)
    began_s: float = field(factory=perf_counter)
    is_quick = False

    def run(self) -> tuple[StoredEntry, ...]:
        """Read it, as far as it can be had."""
        return self.job.run(keep=self.memory.keep)


@frozen(kw_only=True)
class Touch:
    """Touch pages ahead of the next state that is cut."""

    pages: Prefault
    is_quick = False

    def run(self) -> None:
        """Touch them."""
        self.pages.run()


@frozen(kw_only=True)
class Write:
    """Write what waits for the disk."""

    job: WriteJob
    is_quick = False

    def run(self) -> PutReport | CacheError:
        """Write."""
        return self.job.run()


CacheJob: TypeAlias = Split | Bring | Prefetch | Touch | Write
JobOutcome: TypeAlias = tuple[StoredEntry, ...] | Brought | PutReport | StateError | CacheError | None
"""What a job brought; ``CacheError`` stands for a worker that crashed."""


def begun(store: SnapshotStore, message: KeepCells, chain: Chain) -> tuple[int, tuple[StoredEntry, ...]]:
    """Count the first blocks of a state that need not be cut again, and give those that may yet be lost.

    What only memory has may leave it before the turn that needs it is on disk; so that it does not, the
    blocks are put again with that turn.
    """
    n_stored = store.index.n_stored(chain.blocks) if message.cutter.has_blocks else 0
    if message.snapshot is None or store.disk is None:
        return n_stored, ()
    held = store.only_in_ram(chain.blocks[:n_stored])
    return (0, ()) if held is None else (n_stored, tuple(held))
