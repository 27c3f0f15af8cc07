"""What the cache costs against the conversations that are in it; synthetic ones, without a model."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from time import thread_time
from typing import Final

import trio

from actorllama.bench.harness import Spread
from actorllama.bench.scaling.crowd import BLOCK_TOKENS, N_SHARED_TOKENS, NAMESPACE, Crowd
from actorllama.bench.scaling.curve import Curve, Theory
from actorllama.bench.scaling.options import ScalingBenchOptions
from actorllama.kvcache import DiskTier, EntryFacts, RamTier, SnapshotStore, StoredEntry
from actorllama.kvcache.layout import SHARDS, entry_name

__all__ = ["conversation_curves"]

_NO_LIMIT_BYTES: Final = 1 << 50
_N_LOOKUPS: Final = 200
_N_PUTS: Final = 10
_THEORIES: Final = {
    "lookup_s": Theory(
        exponent=0.0,
        words="O(blocks of the prompt): one look into a hash table for each, whatever else is there",
    ),
    "put_s": Theory(exponent=0.0, words="O(parts of the turn): hash tables, and the policy's heap"),
    "evicting_put_s": Theory(exponent=0.0, words="O(log n) for each entry that goes: the policy's heap"),
    "index_start_s": Theory(exponent=1.0, words="linear: each file is listed and none is opened"),
}


async def conversation_curves(
    options: ScalingBenchOptions, on_progress: Callable[[str], None]
) -> tuple[Curve, ...]:
    """Fill a store and a directory, and measure at each size: a look-up, a put, a put that evicts, a start.

    A conversation begins like all others (128 tokens) and goes on as no other: a block, a boundary and a
    snapshot of its own in RAM; on disk one file for each. All times are of the processor.

    Cost: half a minute, most of it for making them; 1 GB of memory, 100,000 empty files.
    """
    found: dict[str, list[tuple[int, Spread]]] = {name: [] for name in _THEORIES}

    def measure() -> None:
        store = _Store()
        with tempfile.TemporaryDirectory(prefix="actorllama-bench-") as name:
            files = _Files(Path(name))
            for n_conversations in options.sizes("conversations"):
                store.grow(n_conversations)
                files.grow(n_conversations)
                for name_of_cost, costs_s in (
                    ("lookup_s", store.lookups_s(options.n_rounds)),
                    ("put_s", store.puts_s(options.n_rounds)),
                    ("evicting_put_s", store.evicting_puts_s(options.n_rounds)),
                    ("index_start_s", files.starts_s(options.n_rounds)),
                ):
                    found[name_of_cost].append((n_conversations, Spread.of(costs_s)))
                trio.from_thread.run_sync(on_progress, f"{n_conversations} conversations")

    await trio.to_thread.run_sync(measure)
    return tuple(
        Curve(
            axis="conversations",
            name=name,
            side="runtime",
            unit="s",
            theory=theory,
            points=tuple(found[name]),
        )
        for name, theory in _THEORIES.items()
    )


class _Store:
    """A store in RAM. Owner: the thread that measures."""

    def __init__(self) -> None:
        self._crowd = Crowd()
        self._ram = RamTier(limit_bytes=_NO_LIMIT_BYTES)
        self._store = SnapshotStore(ram=self._ram)
        self._store.put_state(self._crowd.shared)
        self._n = 0

    def grow(self, n_conversations: int) -> None:
        while self._n < n_conversations:
            if self._n % 1000 == 0:
                trio.from_thread.check_cancelled()
            self._store.put_state(self._crowd.entries(self._n))
            self._n += 1
        gc.collect()

    def lookups_s(self, n_rounds: int) -> list[float]:
        """Look prompts up that go on from conversations all over the cache; seconds of one."""
        numbers = [index * self._n // _N_LOOKUPS for index in range(_N_LOOKUPS)]
        prompts = [[*self._crowd.tokens(number), 1, 2, 3] for number in numbers]
        index = self._store.index

        def look_up() -> None:
            for prompt in prompts:
                hit = index.longest_prefix(NAMESPACE, prompt, block_tokens=BLOCK_TOKENS, needs_boundary=False)
                assert hit is not None, "all begin alike, and that is kept"
                assert hit.n_cells >= N_SHARED_TOKENS, "a leaf goes before its root"

        return _timed(look_up, n_rounds=n_rounds, n_items=_N_LOOKUPS)

    def puts_s(self, n_rounds: int) -> list[float]:
        """Keep turns of new conversations, and forget them again; seconds of one."""
        turns = [self._crowd.entries(self._n + index) for index in range(_N_PUTS)]

        def forget() -> None:
            for turn in turns:
                for entry in reversed(turn):
                    self._store.remove(entry.key)

        put = partial(self._put_all, turns)
        return _timed(put, n_rounds=n_rounds, n_items=_N_PUTS, after=forget)

    def evicting_puts_s(self, n_rounds: int) -> list[float]:
        """Keep turns of new conversations where every one of them makes others go; seconds of one."""
        self._ram.limit_bytes = self._ram.statistics().used_bytes
        try:
            n_before = self._ram.statistics().n_evicted
            costs_s: list[float] = []
            for _round in range(n_rounds + 1):
                turns = [self._crowd.entries(self._n + index) for index in range(_N_PUTS)]
                self._n += _N_PUTS

                costs_s += _timed(partial(self._put_all, turns), n_rounds=1, n_items=_N_PUTS, n_warm_up=0)
            assert self._ram.statistics().n_evicted > n_before, "it was full"
            return costs_s[1:]
        finally:
            self._ram.limit_bytes = _NO_LIMIT_BYTES

    def _put_all(self, turns: Sequence[Sequence[StoredEntry]]) -> None:
        for turn in turns:
            self._store.put_state(turn)


class _Files:
    """A root with an empty file for each conversation. Owner: the thread that measures."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._n = 0
        for shard in SHARDS:
            (root / shard).mkdir()

    def grow(self, n_conversations: int) -> None:
        while self._n < n_conversations:
            if self._n % 1000 == 0:
                trio.from_thread.check_cancelled()
            key = blake2b(str(self._n).encode(), digest_size=16).hexdigest()
            name = entry_name(EntryFacts("snapshot", key, None, 0))
            os.close(os.open(self._root / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self._n += 1

    def starts_s(self, n_rounds: int) -> list[float]:
        """Learn what is on disk, as a process does that has just started; seconds of it."""

        def start() -> None:
            disk = DiskTier(self._root, limit_bytes=_NO_LIMIT_BYTES)
            store = SnapshotStore(ram=RamTier(limit_bytes=0), disk=disk)
            store.refresh()
            assert len(store.index) == self._n, "every file was found"

        return _timed(start, n_rounds=n_rounds, n_items=1)


def _timed(
    work: Callable[[], None],
    *,
    n_rounds: int,
    n_items: int,
    n_warm_up: int = 1,
    after: Callable[[], None] = lambda: None,
) -> list[float]:
    """Time some rounds of work behind a warm-up; seconds of the processor for an item.

    Nothing here waits for more than the kernel's own work, and so a busy machine does not spoil the curve.
    """
    costs_s: list[float] = []
    for number in range(n_warm_up + n_rounds):
        trio.from_thread.check_cancelled()
        began_s = thread_time()
        work()
        ended_s = thread_time()
        after()
        if number >= n_warm_up:
            costs_s.append((ended_s - began_s) / n_items)
    return costs_s
