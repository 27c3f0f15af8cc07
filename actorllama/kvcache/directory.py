"""The root of the disk tier: which files are there, how much they take, and who may take one away."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from typing import Literal, TypeAlias

from attrs import field, frozen

from actorllama.kvcache.entry import Entry, EntryFacts
from actorllama.kvcache.file_system import FileFacts, FileSystem
from actorllama.kvcache.layout import (
    LOCK,
    QUARANTINE,
    SHARDS,
    entry_name,
    facts_of_name,
    owner_of_temporary,
    plain_names,
    quarantine_name,
)
from actorllama.kvcache.owner import Owner

__all__ = ["Directory", "FileKind", "KnownFile", "Temporary"]

FileKind: TypeAlias = Literal["entry", "foreign", "temporary", "quarantined"]
"""``foreign``: named like an entry, and when it was read it was of another version or MAC key."""

_SETTLED_S = 1.0  # a directory's time stamp ticks every few ms: believe it when it has stood this long


@frozen(kw_only=True)
class KnownFile:
    """One file under the root, as it was when its directory was last read."""

    path: str
    kind: FileKind
    key: str
    owner: Owner | None
    n_bytes: int
    inode: int
    used_ns: int
    facts: EntryFacts | None = None
    """What its name says, if it is an entry or foreign."""


@frozen(kw_only=True)
class Temporary:
    """An unfinished file that counts with its full length already."""

    path: str
    inode: int


@frozen(kw_only=True)
class _Shard:
    """One directory as it was read; replaced as a whole, never changed, so that any thread may look."""

    inode: int
    mtime_ns: int
    seen_at_s: float
    is_settled: bool
    files: dict[str, KnownFile] = field(repr=False)
    used_bytes: int


class Directory:
    """An index over the root that follows what other processes do there.

    The files are the truth; the index is read from them and refreshed by the time stamps of 256
    directories. Names are added by linking, which fails if the name is taken; every other change of a
    published name happens under the lock of the root. So who holds the lock and has looked at a name
    knows what it is about to take away.

    Owner: any thread of any process may call any method.
    """

    def __init__(self, root: str, *, files: FileSystem, mac_key: bytes | None) -> None:
        """Remember where; nothing is touched yet."""
        self.root = root
        self.files = files
        self.mac_key = mac_key
        self._shards: dict[str, _Shard] = {}
        self._foreign: dict[str, int] = {}  # path -> inode of what was read and could not be used

    # -- what is there -------------------------------------------------------------------------

    def path_of(self, entry: Entry | EntryFacts) -> str:
        """Give the path of an entry's file, whether or not it exists."""
        return f"{self.root}/{entry_name(entry)}"

    def paths_of(self, key: str) -> Iterator[str]:
        """Give the paths that a key's file may have, the likely ones first.

        A boundary's name has more in it than its key, so it is looked up in its directory.

        Raises:
            OSError: The directory cannot be read. A missing one is empty.

        Cost: for a boundary a call of ``stat``; if its directory has changed, one per file in it.
        """
        for name in plain_names(key):
            yield f"{self.root}/{name}"
        self._refresh_or_drop(key[:2])
        shard = self._shards.get(key[:2])
        if shard is not None:
            found = [one for one in shard.files.values() if one.key == key and one.facts is not None]
            yield from (one.path for one in found if one.facts is not None and one.facts.kind == "boundary")

    def known(self) -> Iterator[KnownFile]:
        """Give all files that the last refresh found."""
        for shard in list(self._shards.values()):
            yield from shard.files.values()

    @property
    def used_bytes(self) -> int:
        """Bytes of all files that the last refresh found, unfinished and quarantined ones included."""
        return sum(shard.used_bytes for shard in list(self._shards.values()))

    def refresh(self) -> None:
        """Read again what changed since the last time.

        Raises:
            OSError: A directory cannot be read. A missing one is empty.

        Cost: 257 calls of ``stat`` (0.5 ms), and one per file in each directory that changed. No file is
        opened.
        """
        for name in (*SHARDS, QUARANTINE):
            self._refresh_or_drop(name)

    def forget(self, path: str) -> None:
        """Have the next refresh read a file's directory again, whatever its time stamp says."""
        self._shards.pop(path.rsplit("/", 2)[1], None)

    def note_foreign(self, path: str, *, inode: int) -> None:
        """Count a file as foreign from now on, until another is under its name."""
        self._foreign[path] = inode
        self.forget(path)

    def _refresh_or_drop(self, name: str) -> None:
        try:
            self._refresh_shard(name)
        except (FileNotFoundError, NotADirectoryError):
            self._shards.pop(name, None)

    def _refresh_shard(self, name: str) -> None:
        path = f"{self.root}/{name}"
        facts = self.files.stat(path)  # before the listing: what changes during it shows next time
        now_s = self.files.monotonic_s()
        old = self._shards.get(name)
        is_same = old is not None and (old.inode, old.mtime_ns) == (facts.st_ino, facts.st_mtime_ns)
        if old is not None and is_same and old.is_settled:
            return
        seen_at_s = old.seen_at_s if old is not None and is_same else now_s
        found = {one.name: self._know(path, one) for one in self.files.scan(path)}
        files = {file_name: one for file_name, one in found.items() if one is not None}
        self._shards[name] = _Shard(
            inode=facts.st_ino,
            mtime_ns=facts.st_mtime_ns,
            seen_at_s=seen_at_s,
            is_settled=now_s - seen_at_s >= _SETTLED_S,
            files=files,
            # By inode: between linking and unlinking, one file has two names.
            used_bytes=sum({one.inode: one.n_bytes for one in files.values()}.values()),
        )

    def _know(self, directory: str, facts: FileFacts) -> KnownFile | None:
        path = f"{directory}/{facts.name}"
        owner = owner_of_temporary(facts.name)
        told = facts_of_name(facts.name)
        kind: FileKind
        if owner is not None:
            kind = "temporary"
        elif directory.endswith(QUARANTINE):
            kind, told = "quarantined", None
        elif told is None:
            return None  # not ours: neither counted nor touched
        else:
            kind = "foreign" if self._foreign.get(path) == facts.inode else "entry"
        return KnownFile(
            path=path,
            kind=kind,
            key=told.key if told else facts.name.removeprefix(".").partition(".")[0],
            owner=owner,
            n_bytes=facts.n_bytes,
            inode=facts.inode,
            used_ns=facts.used_ns,
            facts=told,
        )

    # -- changes -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Hold the lock of the root; makes the root if it is missing.

        Raises:
            OSError: The root cannot be made, or its lock cannot be opened.
        """
        path = f"{self.root}/{LOCK}"
        try:
            fd = self.files.open(path, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            self._make(self.root)
            fd = self.files.open(path, os.O_RDWR | os.O_CREAT)
        try:
            self.files.flock(fd)
            yield
        finally:
            self.close(fd)

    def close(self, fd: int) -> None:
        """Close a file that was not written to; the system's complaints mean nothing then."""
        with contextlib.suppress(OSError):
            self.files.close(fd)

    def read_fully(self, fd: int, buffer: memoryview) -> int:
        """Fill a buffer as far as the file goes; tell how many bytes."""
        n_read = 0
        while n_read < len(buffer):
            n_new = self.files.read(fd, buffer[n_read:])
            if n_new == 0:
                break
            n_read += n_new
        return n_read

    def create(self, name: str, n_bytes: int) -> Temporary:
        """Create a file of this length, which must not exist.

        The length stands at once, so that every process counts the bytes that are to come.
        """
        path = f"{self.root}/{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            fd = self.files.open(path, flags)
        except FileNotFoundError:
            self._make(path.rpartition("/")[0])
            fd = self.files.open(path, flags)
        try:
            self.files.truncate(fd, n_bytes)
            return Temporary(path=path, inode=self.files.fstat(fd).st_ino)
        except OSError:
            with contextlib.suppress(OSError):
                self.files.unlink(path)
            raise
        finally:
            self.close(fd)

    def quarantine(self, path: str, *, inode: int) -> bool:
        """Set a damaged file aside, if it is still the one that was read; the caller holds it open.

        Returns:
            Whether it is out of the way: ``False`` if the system does not let us (a read-only root).
        """
        aside = f"{self.root}/{quarantine_name(path.rpartition('/')[2][:32])}"
        try:
            with self.locked():
                if self.files.stat(path).st_ino != inode:
                    return True  # somebody replaced it; what is there now is theirs
                with contextlib.suppress(FileExistsError):
                    self.files.mkdir(f"{self.root}/{QUARANTINE}")
                self.files.rename(path, aside)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def withdraw(self, path: str, *, inode: int) -> None:
        """Take a file back whose publishing did not succeed, if it is still the one that was written."""
        with contextlib.suppress(OSError), self.locked():
            if self.files.stat(path).st_ino == inode:
                self.files.unlink(path)

    def remove(self, path: str) -> bool:
        """Remove an entry's file; ``False`` if there is none.

        Raises:
            OSError: The system does not let us.
        """
        try:
            self.files.stat(path)  # a lookup first: a missing root is not made just to find nothing in it
            with self.locked():
                self.files.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def sync(self, path: str) -> None:
        """Wait until the names in a directory are on stable storage."""
        fd = self.files.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.files.fsync(fd)
        finally:
            self.close(fd)

    def _make(self, path: str) -> None:
        """Make a directory and those above it, each for its owner only, each on stable storage."""
        parent = path.rpartition("/")[0] or "/"
        try:
            self.files.mkdir(path)
        except FileExistsError:
            return
        except FileNotFoundError:
            self._make(parent)
            with contextlib.suppress(FileExistsError):
                self.files.mkdir(path)
        self.sync(parent)
