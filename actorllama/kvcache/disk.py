"""The disk tier: snapshots in files, under one root that several processes may share."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Generator
from contextlib import contextmanager

from actorllama.errors import CacheError, SnapshotCorrupt, SnapshotMismatch, TierFull
from actorllama.kvcache.directory import Directory, KnownFile
from actorllama.kvcache.events import (
    DISK_SWEPT,
    ENTRY_EVICTED,
    ENTRY_PUBLISHED,
    ENTRY_QUARANTINED,
    ENTRY_REFUSED,
    PUT_FAILED,
)
from actorllama.kvcache.file_system import FileSystem
from actorllama.kvcache.header import Buffer, mac_key_id
from actorllama.kvcache.layout import is_key
from actorllama.kvcache.options import CacheOptions
from actorllama.kvcache.posix import PosixFileSystem
from actorllama.kvcache.publish import How, publish
from actorllama.kvcache.reading import read_entry
from actorllama.kvcache.reports import CheckReport, DiskStatistics
from actorllama.kvcache.reserve import Limits
from actorllama.kvcache.snapshot import Snapshot
from actorllama.kvcache.sweep import sweep
from actorllama.kvcache.tally import Tally
from actorllama.telemetry import Bus

__all__ = ["DiskTier"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskTier:
    """Keeps snapshots in files, each published whole or not at all, within a limit for the whole root.

    A file that is damaged, cut off, foreign or unreadable is a miss and an event, never an answer and
    never an error; a damaged one is quarantined. What is used longest ago goes first when room is
    needed; the lock of the root is held only while names are taken away or room is reserved.

    Owner: any thread of any process. Every method may wait for the disk: call it from a worker thread.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        limit_bytes: int,
        temporary_age_s: float = CacheOptions().temporary_age_s,
        mac_key: bytes | None = None,
        bus: Bus | None = None,
        files: FileSystem | None = None,
    ) -> None:
        """Remember where; the first call that needs the index reads it.

        Args:
            root: The directory; made with mode 0700 when the first snapshot is put.
            limit_bytes: Most bytes of all files under the root, whoever wrote them.
            temporary_age_s: An unfinished file older than this is swept even if its owner lives.
            mac_key: 16 to 64 secret bytes for a root that others can write to: a file that was not
                signed with it is a miss.
            bus: Who is told; nobody by default.
            files: The system; the real one by default.

        Raises:
            ValueError: The limit is negative, or the key has not 16 to 64 bytes.
        """
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must be at least 0: {limit_bytes}")
        mac_key_id(mac_key)
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

    def put(self, snapshot: Snapshot) -> How:
        """Publish a snapshot.

        Returns:
            ``published``; ``adopted`` if a sound file was there (only its digests were computed);
            ``replaced`` if an unusable one was.

        Raises:
            TierFull: The limit, or the disk, leaves no room.
            CacheError: The system refused; nothing that was published is lost by it.

        Cost: a blake2b and a write of all bytes, two or three fsyncs.
        """
        began_s = time.perf_counter()
        facts = {"tier": "disk", "key": snapshot.key}
        try:
            how = self._publish(snapshot)
        except CacheError as exc:
            self._tally.add("failed")
            self._bus.execute(PUT_FAILED, {"entry_bytes": snapshot.n_bytes}, {**facts, "error": str(exc)})
            raise
        self._tally.add(how)
        measured = {"entry_bytes": snapshot.n_bytes, "duration_s": time.perf_counter() - began_s}
        self._bus.execute(ENTRY_PUBLISHED, measured, {**facts, "how": how})
        return how

    def get(self, key: str) -> Snapshot | None:
        """Read a snapshot and note its use; ``None`` if there is none that can be trusted.

        Cost: a read and a blake2b of all bytes.
        """
        snapshot = self._read(key, is_use=True)[0] if is_key(key) else None
        self._tally.add("misses" if snapshot is None else "hits")
        return snapshot

    def remove(self, key: str) -> bool:
        """Remove a snapshot; ``False`` if there is none.

        Raises:
            CacheError: The system refused.
        """
        with self._translated(needed_bytes=0):
            return is_key(key) and self._directory.remove(key)

    def keys(self) -> tuple[str, ...]:
        """List the keys of the files that this process could read, judged by their headers.

        Raises:
            CacheError: The root cannot be read.
        """
        with self._translated(needed_bytes=0):
            self._directory.refresh()
        return tuple(one.key for one in self._directory.known() if one.kind == "entry")

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

    def check(self) -> CheckReport:
        """Read every file and verify it, quarantine what is damaged, sweep what is unfinished.

        Raises:
            CacheError: The root cannot be read.

        Cost: a read and a blake2b of everything under the root.
        """
        n_swept = self.sweep()
        verdicts = [
            self._read(one.key, is_use=False)[1]
            for one in self._directory.known()
            if one.kind in ("entry", "foreign")
        ]
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

    def _publish(self, snapshot: Snapshot) -> How:
        def encode() -> list[Buffer]:
            return snapshot.encode(mac_key=self._mac_key)

        with self._translated(needed_bytes=snapshot.n_bytes):
            return publish(self._directory, snapshot.key, encode, limits=self._limits, on_gone=self._on_gone)

    def _read(self, key: str, *, is_use: bool) -> tuple[Snapshot | None, str]:
        """Read a file, or say why not: absent, corrupt, foreign, unreadable."""
        try:
            found = read_entry(self._directory, key, limit_bytes=self.limit_bytes, is_use=is_use)
        except (FileNotFoundError, NotADirectoryError):
            return None, "absent"
        except SnapshotCorrupt as exc:
            self._tally.add("corrupt")
            facts = {"key": key, "path": self._directory.path_of(key), "section": exc.section}
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

    def _on_gone(self, one: KnownFile) -> None:
        if one.kind == "temporary":
            self._tally.add("swept")
            measured = {"n_entries": 1, "freed_bytes": one.n_bytes}
            self._bus.execute(DISK_SWEPT, measured, {"root": self.root})
            return
        self._tally.add("evicted")
        self._tally.add("evicted_bytes", one.n_bytes)
        self._bus.execute(ENTRY_EVICTED, {"entry_bytes": one.n_bytes}, {"tier": "disk", "key": one.key})

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
