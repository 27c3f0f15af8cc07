"""The disk tier: entries in files, under one root that several processes may share."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from functools import partial

from actorllama.errors import CacheError, SnapshotCorrupt, SnapshotMismatch, TierFull
from actorllama.kvcache.allocate import Allocate, fresh_memory
from actorllama.kvcache.codec import codec_named
from actorllama.kvcache.decoding import StoredEntry
from actorllama.kvcache.directory import Directory, KnownFile
from actorllama.kvcache.entry import Entry, EntryFacts
from actorllama.kvcache.events import (
    DISK_SWEPT,
    ENTRY_EVICTED,
    ENTRY_PUBLISHED,
    ENTRY_QUARANTINED,
    ENTRY_REFUSED,
    PUT_FAILED,
)
from actorllama.kvcache.fields import is_key
from actorllama.kvcache.file_system import FileSystem
from actorllama.kvcache.header import Buffer, mac_key_id
from actorllama.kvcache.latest_turns import LatestTurns, latest_turns
from actorllama.kvcache.options import CacheOptions
from actorllama.kvcache.posix import PosixFileSystem
from actorllama.kvcache.publish import How, publish
from actorllama.kvcache.reading import mark_used, read_entry, read_file
from actorllama.kvcache.reports import CheckReport, DiskStatistics, PutReport
from actorllama.kvcache.reserve import Limits
from actorllama.kvcache.sweep import sweep
from actorllama.kvcache.tally import Tally
from actorllama.telemetry import Bus

__all__ = ["DiskTier"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskTier:
    """Keeps entries in files, each published whole or not at all, within a limit for the whole root.

    A file that is damaged, cut off, foreign or unreadable is a miss and an event, never an answer and
    never an error; a damaged one is quarantined. What is used longest ago goes first when room is
    needed, and of a chain that was used together, the last before the first; the lock of the root is held
    only while names are taken away or room is reserved.

    Owner: any thread of any process. Every method may wait for the disk: call it from a worker thread.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        limit_bytes: int,
        codec: str = "none",
        temporary_age_s: float = CacheOptions().temporary_age_s,
        mac_key: bytes | None = None,
        bus: Bus | None = None,
        files: FileSystem | None = None,
    ) -> None:
        """Remember where; the first call that needs the index reads it.

        Args:
            root: The directory; made with mode 0700 when the first entry is put.
            limit_bytes: Most bytes of all files under the root, whoever wrote them.
            codec: What payloads of blocks and boundaries are written with; read is what is there.
            temporary_age_s: An unfinished file older than this is swept even if its owner lives.
            mac_key: 16 to 64 secret bytes for a root that others can write to: a file that was not
                signed with it is a miss.
            bus: Who is told; nobody by default.
            files: The system; the real one by default.

        Raises:
            ValueError: The limit is negative, the key has not 16 to 64 bytes, or there is no such codec.
        """
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must be at least 0: {limit_bytes}")
        mac_key_id(mac_key)
        self.codec = codec_named(codec).name
        self.root = os.path.abspath(root)  # noqa: PTH100 (paths are strings here, for speed)
        self.limit_bytes = limit_bytes
        self._limits = Limits(limit_bytes=limit_bytes, temporary_age_s=temporary_age_s)
        self._mac_key = mac_key
        self._bus = bus or Bus()
        self._tally = Tally()
        self._directory = Directory(self.root, files=files or PosixFileSystem(), mac_key=mac_key)

    def __repr__(self) -> str:
        """Name the root."""
        return f"<DiskTier {self.root}, at most {self.limit_bytes} bytes>"

    def put(self, entry: Entry) -> How:
        """Publish an entry.

        Returns:
            ``published``; ``adopted`` if a sound file was there (only its digests were computed);
            ``replaced`` if an unusable one was.

        Raises:
            TierFull: The limit, or the disk, leaves no room.
            CacheError: The system refused; nothing that was published is lost by it.

        Cost: a digest and a write of all bytes, two or three fsyncs.
        """
        return self.put_all((entry,)).hows[entry.key]

    def put_all(self, entries: Sequence[Entry], *, above: Sequence[str] = ()) -> PutReport:
        """Publish the entries of a state together.

        Args:
            entries: In the order in which they get their names: blocks root first, the boundary, the
                snapshot. Whoever dies meanwhile leaves none without those before it.
            above: Keys of the blocks before them, root first, that are there already: used with them.

        Raises:
            TierFull: The limit, or the disk, leaves no room for all of them.
            CacheError: The system refused; some of the entries may be published.

        Cost: a digest and a write of all bytes, an fsync for each entry, and one for each directory.
        """
        began_s = time.perf_counter()
        used_ns = self._directory.files.now_ns()
        gone: list[str] = []
        n_bytes = sum(entry.n_bytes for entry in entries)
        try:
            missing = self._mark_used(above, used_ns=used_ns)
            with self._translated(needed_bytes=n_bytes):
                hows = publish(
                    self._directory,
                    entries,
                    encode=self._encode,
                    used_ns=used_ns - len(above),
                    limits=self._limits,
                    on_gone=lambda one: gone.extend(self._on_gone(one)),
                )
        except CacheError as exc:
            self._tally.add("failed")
            facts = {"tier": "disk", "key": entries[-1].key, "error": str(exc)}
            self._bus.execute(PUT_FAILED, {"entry_bytes": n_bytes}, facts)
            raise
        duration_s = time.perf_counter() - began_s
        for entry in entries:
            how = hows[entry.key]
            self._tally.add(how)
            measured = {"entry_bytes": entry.n_bytes, "duration_s": duration_s}
            self._bus.execute(ENTRY_PUBLISHED, measured, {"tier": "disk", "key": entry.key, "how": how})
        return PutReport(hows=hows, evicted=tuple(gone), missing=missing)

    def get(
        self, key: str, *, used_ns: int | None = None, allocate: Allocate = fresh_memory
    ) -> StoredEntry | None:
        """Read an entry and note its use; ``None`` if there is none that can be trusted.

        Args:
            key: Which.
            used_ns: When it was used, by `now_ns`; now if ``None``.
            allocate: Gives the memory that it is read into, and stays in.

        Cost: a read and a digest of all bytes.
        """
        entry = self._read(key, self.now_ns() if used_ns is None else used_ns, allocate)
        self._tally.add("misses" if entry is None else "hits")
        return entry

    def look(self, key: str, *, allocate: Allocate = fresh_memory) -> StoredEntry | None:
        """Read an entry as `get` does; this is no use of it."""
        return self._read(key, None, allocate)

    def now_ns(self) -> int:
        """Tell the time of a use that happens now."""
        return self._directory.files.now_ns()

    def note_use(self, key: str, *, used_ns: int) -> bool:
        """Note the use of an entry that is not read; ``False`` if there is none."""
        return mark_used(self._directory, key, used_ns=used_ns)

    def get_chain(
        self, keys: Sequence[str], *, held: Collection[str] = (), allocate: Allocate = fresh_memory
    ) -> tuple[StoredEntry, ...]:
        """Read entries that belong together, as far as they are there without a gap.

        Their use is noted so that the last goes first when room is needed.

        Args:
            keys: Root first.
            held: Those of them that need not be read.
            allocate: Gives the memory that each of the others is read into, and stays in.

        Returns:
            What was read, in order; it ends before the first that cannot be had.

        Cost: as `get` for each that is read, and a ``touch`` for each other.
        """
        used_ns = self.now_ns()
        found: list[StoredEntry] = []
        for depth, key in enumerate(keys):
            if key in held:
                self.note_use(key, used_ns=used_ns - depth)
                continue
            entry = self.get(key, used_ns=used_ns - depth, allocate=allocate)
            if entry is None:
                break
            found.append(entry)
        return tuple(found)

    def remove(self, key: str) -> bool:
        """Remove an entry; ``False`` if there is none.

        Raises:
            CacheError: The system refused.
        """
        with self._translated(needed_bytes=0):
            paths = self._directory.paths_of(key) if is_key(key) else ()
            return sum(self._directory.remove(path) for path in paths) > 0

    def listing(self) -> tuple[EntryFacts, ...]:
        """List what the file names tell; no file is opened.

        Raises:
            CacheError: The root cannot be read.

        Cost: a call of ``stat`` for each file of each directory that has changed since the last time.
        """
        with self._translated(needed_bytes=0):
            self._directory.refresh()
        known = self._directory.known()
        return tuple(one.facts for one in known if one.kind == "entry" and one.facts is not None)

    def latest_turns(self, *, limit_bytes: int | None = None) -> LatestTurns:
        """Find the turns that were used last, by what the last listing found.

        Cost: as :func:`actorllama.kvcache.latest_turns.latest_turns`.
        """
        return latest_turns(self._directory, limit_bytes=limit_bytes)

    def keys(self) -> tuple[str, ...]:
        """List the keys of `listing`.

        Raises:
            CacheError: The root cannot be read.
        """
        return tuple(facts.key for facts in self.listing())

    def sweep(self) -> int:
        """Remove unfinished files of dead processes, and old ones; return how many went.

        Call it at start. It reads the index too, so that later calls find it ready.

        Raises:
            CacheError: The root cannot be read.
        """
        with self._translated(needed_bytes=0):
            self._directory.refresh()
            gone = sweep(self._directory, temporary_age_s=self._limits.temporary_age_s)
        for one in gone:
            self._on_gone(one)
        return len(gone)

    def check(self, *, on_progress: Callable[[float], None] | None = None) -> CheckReport:
        """Read every file and verify it, quarantine what is damaged, sweep what is unfinished.

        Args:
            on_progress: Called with 0 to 1 after each file, with the share of all bytes that was read.

        Raises:
            CacheError: The root cannot be read.

        Cost: a read and a digest of everything under the root.
        """
        n_swept = self.sweep()
        known = [one for one in self._directory.known() if one.kind in ("entry", "foreign")]
        n_bytes = sum(one.n_bytes for one in known)
        n_read = 0
        verdicts: list[str] = []
        for one in known:
            verdicts.append(self._judged(one.key, partial(self._read_file, one))[1])
            n_read += one.n_bytes
            if on_progress is not None:
                on_progress(n_read / n_bytes if n_bytes else 1.0)
        return CheckReport(
            n_checked=sum(verdict != "absent" for verdict in verdicts),
            n_corrupt=verdicts.count("corrupt"),
            n_foreign=verdicts.count("foreign"),
            n_unreadable=verdicts.count("unreadable"),
            n_swept=n_swept,
        )

    def statistics(self) -> DiskStatistics:
        """Say what is under the root now and what this tier did.

        Raises:
            CacheError: The root cannot be read.
        """
        with self._translated(needed_bytes=0):
            self._directory.refresh()
        kinds = [one.kind for one in self._directory.known()]
        tally = self._tally
        return DiskStatistics(
            n_entries=kinds.count("entry"),
            n_foreign=kinds.count("foreign"),
            n_temporary=kinds.count("temporary"),
            n_quarantined=kinds.count("quarantined"),
            used_bytes=self._directory.used_bytes,
            limit_bytes=self.limit_bytes,
            n_hits=tally["hits"],
            n_misses=tally["misses"],
            n_published=tally["published"],
            n_adopted=tally["adopted"],
            n_replaced=tally["replaced"],
            n_failed=tally["failed"],
            n_refused=tally["refused"],
            n_corrupt=tally["corrupt"],
            n_evicted=tally["evicted"],
            evicted_bytes=tally["evicted_bytes"],
            n_swept=tally["swept"],
        )

    # -- inside --------------------------------------------------------------------------------

    def _encode(self, entry: Entry) -> Sequence[Buffer]:
        return entry.encode(mac_key=self._mac_key, codec=self.codec)

    def _mark_used(self, above: Sequence[str], *, used_ns: int) -> tuple[str, ...]:
        """Note the use of blocks that others need; return those that are not there."""
        return tuple(
            key for depth, key in enumerate(above) if not self.note_use(key, used_ns=used_ns - depth)
        )

    def _read(self, key: str, used_ns: int | None, allocate: Allocate) -> StoredEntry | None:
        def read() -> StoredEntry:
            return read_entry(
                self._directory, key, limit_bytes=self.limit_bytes, used_ns=used_ns, allocate=allocate
            )

        return self._judged(key, read)[0] if is_key(key) else None

    def _read_file(self, one: KnownFile) -> StoredEntry:
        return read_file(self._directory, one.path, one.key, limit_bytes=self.limit_bytes, used_ns=None)

    def _judged(self, key: str, read: Callable[[], StoredEntry]) -> tuple[StoredEntry | None, str]:
        """Read a file, or say why not: absent, corrupt, foreign, unreadable."""
        try:
            found = read()
        except (FileNotFoundError, NotADirectoryError):
            return None, "absent"
        except SnapshotCorrupt as exc:
            self._tally.add("corrupt")
            facts = {"key": key, "path": exc.path, "section": exc.section}
            self._bus.execute(ENTRY_QUARANTINED, {"n_entries": 1}, facts)
            verdict, error = "corrupt", str(exc)
        except SnapshotMismatch as exc:
            verdict, error = "foreign", str(exc)
        except (OSError, MemoryError) as exc:
            verdict, error = "unreadable", str(exc)
        else:
            return found, "sound"
        self._tally.add("refused")
        self._bus.execute(ENTRY_REFUSED, {"n_entries": 1}, {"tier": "disk", "key": key, "error": error})
        return None, verdict

    def _on_gone(self, one: KnownFile) -> tuple[str, ...]:
        """Count and tell what went; return its key if it was an entry."""
        if one.kind == "temporary":
            self._tally.add("swept")
            measured = {"n_entries": 1, "freed_bytes": one.n_bytes}
            self._bus.execute(DISK_SWEPT, measured, {"root": self.root})
            return ()
        self._tally.add("evicted")
        self._tally.add("evicted_bytes", one.n_bytes)
        self._bus.execute(ENTRY_EVICTED, {"entry_bytes": one.n_bytes}, {"tier": "disk", "key": one.key})
        return (one.key,) if one.kind == "entry" else ()

    @contextmanager
    def _translated(self, *, needed_bytes: int) -> Generator[None, None, None]:
        """Translate what the system says, once, at the edge of the room."""
        try:
            yield
        except OSError as exc:
            if exc.errno in _NO_ROOM:
                raise TierFull(tier="disk", needed_bytes=needed_bytes, limit_bytes=self.limit_bytes) from exc
            raise CacheError(
                f"disk tier {self.root}: {exc}. Give it a root that can be read and written."
            ) from exc
