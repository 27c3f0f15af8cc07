"""The work of the cache that may take longer than an event loop should stand still."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from time import perf_counter
from typing import TypeAlias

from attrs import evolve, field, frozen

from actorllama.engine.cache_messages import FindPrefix, KeepCells
from actorllama.engine.commands import RestoredState
from actorllama.engine.transit_memory import TransitMemory
from actorllama.errors import CacheError, StateError
from actorllama.kvcache import (
    Block,
    Boundary,
    Chain,
    PrefixHit,
    PutReport,
    ReadJob,
    RowSpan,
    SnapshotStore,
    StoredEntry,
    WriteJob,
)

__all__ = ["CacheJob", "JobOutcome", "Join", "Read", "Split", "Write", "n_stored"]

_INLINE_BYTES = 1 << 18  # copying this much takes some tens of microseconds; a hop to a thread takes 100


@frozen(kw_only=True)
class Split:
    """Cut the cells of a turn into entries."""

    message: KeepCells
    chain: Chain
    first_block: int
    """Blocks before this one are stored already."""
    is_rounded: bool = False
    """Whether the disk tier rounds rows, and must be told where they lie."""

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
            parts = message.cutter.split(memoryview(message.kv), block_tokens=n, first_block=self.first_block)
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
class Read:
    """Bring the parts of a hit into memory."""

    question: FindPrefix
    hit: PrefixHit
    job: ReadJob
    began_s: float = field(factory=perf_counter)

    @property
    def is_quick(self) -> bool:
        """Whether it may run on the event loop."""
        return not self.job.needs_disk

    def run(self) -> tuple[StoredEntry, ...]:
        """Read; what cannot be read is missing from the outcome."""
        return self.job.run()


@frozen(kw_only=True)
class Join:
    """Put the parts of a hit together."""

    question: FindPrefix
    hit: PrefixHit
    entries: Sequence[StoredEntry] = field(repr=False)
    began_s: float
    into: memoryview | None = field(default=None, repr=False, eq=False)
    """Where the state goes; ``None`` is memory of its own."""

    @property
    def is_quick(self) -> bool:
        """Whether it may run on the event loop."""
        return sum(entry.n_bytes for entry in self.entries) <= _INLINE_BYTES

    def placed(self, memory: TransitMemory) -> Join:
        """Take memory for a large state; by the owner of the memory, so before the job goes to a thread."""
        if self.is_quick:
            return self
        with suppress(StateError):  # `run` meets it too, and tells
            return evolve(self, into=memory.take(self.question.cutter.joined_bytes(*self._parts())))
        return self

    def run(self) -> RestoredState | StateError:
        """Make the state that the asker's context restores."""
        try:
            kv = self.question.cutter.join(*self._parts(), into=self.into)
        except StateError as exc:
            return exc
        return RestoredState(kv=kv, n_cells=self.hit.n_cells, source=self.hit.tier)

    def _parts(self) -> tuple[Sequence[memoryview], memoryview | None]:
        blocks = [memoryview(entry.payload) for entry in self.entries if isinstance(entry, Block)]
        tails = [memoryview(entry.payload) for entry in self.entries if isinstance(entry, Boundary)]
        return blocks, tails[0] if tails else None


@frozen(kw_only=True)
class Write:
    """Write what waits for the disk."""

    job: WriteJob
    is_quick = False

    def run(self) -> PutReport | CacheError:
        """Write."""
        return self.job.run()


CacheJob: TypeAlias = Split | Read | Join | Write
JobOutcome: TypeAlias = tuple[StoredEntry, ...] | RestoredState | PutReport | StateError | CacheError
"""What a job brought; ``CacheError`` stands for a worker that crashed."""


def n_stored(store: SnapshotStore, message: KeepCells, chain: Chain) -> int:
    """Count the first blocks of a state that need not be cut again."""
    if not message.cutter.has_blocks:
        return 0
    if message.snapshot is None or store.disk is None:
        return store.index.n_stored(chain.blocks)
    # What only memory has may leave it before the turn that needs it is on disk.
    return sum(1 for _ in takewhile(lambda key: store.index.has(key, "disk"), chain.blocks))
