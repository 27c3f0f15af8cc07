"""What is asked of the store of the cache: a turn by its key, and what begins a prompt."""

from __future__ import annotations

import trio

from actorllama.engine.cache_messages import CountCells, FindPrefix
from actorllama.engine.split_queue import SplitQueue
from actorllama.kvcache import Found, PrefixHit, SnapshotStore

__all__ = ["find_snapshot", "longest_prefix"]


def longest_prefix(
    store: SnapshotStore, question: FindPrefix | CountCells, tokens: tuple[int, ...], *, block_tokens: int
) -> PrefixHit | None:
    """Look up what is stored of these tokens, for the asker's context; it has fewer tokens than they are."""
    return store.index.longest_prefix(
        question.namespace,
        tokens,
        block_tokens=block_tokens,
        needs_boundary=question.cutter.needs_boundary,
        needs_blocks=question.cutter.has_blocks,
    )


async def find_snapshot(store: SnapshotStore, waiting: SplitQueue, key: str) -> Found | None:
    """Find a saved turn: one whose state is still to be cut, in memory, or on disk, in a thread."""
    snapshot = waiting.snapshot(key)
    if snapshot is not None:
        return Found(entry=snapshot, tier="ram")
    found = store.get_ram(key)
    if found is not None or store.disk is None:
        return found
    return await trio.to_thread.run_sync(store.get, key)
