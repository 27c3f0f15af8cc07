"""Small snapshots, and file systems that are quick, or fail, or kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from actorllama.kvcache import (
    Block,
    Boundary,
    Buffer,
    DiskTier,
    FileFacts,
    FileSystem,
    Owner,
    PosixFileSystem,
    Snapshot,
    StoredEntry,
    chain_of,
)
from actorllama.kvcache.layout import entry_name, temporary_name
from actorllama.telemetry import StrictBus

NAMESPACE = "c0ffee"


def snapshot_of(
    number: int = 1, *, n_kv: int = 64, label: str = "", logits: bytes | None = b"\0\0\x80?"
) -> Snapshot:
    """Make a snapshot that its number determines; others have other keys and other bytes."""
    return Snapshot(
        namespace=NAMESPACE,
        tokens=(1, 2, number),
        n_prompt=2,
        sampler=b"sampler record",
        kv=bytes((number + index) % 251 for index in range(n_kv)),
        logits=logits,
        created_s=1_790_000_000.5,
        label=label,
    )


def state_of(number: int = 1, *, n_bytes: int = 64) -> tuple[StoredEntry, ...]:
    """Make a turn of 13 cells: three blocks of four, a boundary of one, a snapshot; root first."""
    tokens = (number, *range(2, 15))
    chain = chain_of(NAMESPACE, tokens[:-1], block_tokens=4)
    parents = (chain.root, *chain.blocks)
    blocks = tuple(
        Block(
            parent=parents[i],
            tokens=tokens[4 * i : 4 * i + 4],
            payload=bytes((number + i + at) % 251 for at in range(n_bytes)),
            worth_s=0.5,
        )
        for i in range(3)
    )
    boundary = Boundary(parent=chain.parent, tail=chain.tail, payload=bytes([number % 251]) * n_bytes)
    snapshot = Snapshot(
        namespace=NAMESPACE,
        tokens=tokens,
        n_prompt=2,
        sampler=b"sampler record",
        block_tokens=4,
        has_boundary=True,
        created_s=1_790_000_000.5,
    )
    return (*blocks, boundary, snapshot)


def encoded(entry: StoredEntry, mac_key: bytes | None = None, codec: str = "none") -> bytes:
    return b"".join(entry.encode(mac_key=mac_key, codec=codec))


N_BYTES = snapshot_of().n_bytes


class QuickFiles(PosixFileSystem):
    """Does not wait for the disk: a test that kills no machine needs no fsync."""

    def fsync(self, fd: int) -> None:
        """Do nothing."""


class FaultyFiles(PosixFileSystem):
    """Counts its calls, and does something at the n-th, before the call itself.

    Args:
        strike_at: Which call, counted from 0; -1 for none.
        strike: What is done: raises an `OSError`, or kills this process.
        only: Count these calls only; all by default.
    """

    def __init__(
        self, *, strike_at: int = -1, strike: Callable[[], None], only: frozenset[str] | None = None
    ) -> None:
        self.strike_at = strike_at
        self.strike = strike
        self.only = only
        self.calls: list[str] = []

    def _step(self, name: str) -> None:
        if self.only is not None and name not in self.only:
            return
        self.calls.append(name)
        if len(self.calls) - 1 == self.strike_at:
            self.strike()

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        self._step("open")
        return super().open(path, flags, mode)

    def close(self, fd: int) -> None:
        super().close(fd)  # a close that fails has closed all the same
        self._step("close")

    def truncate(self, fd: int, n_bytes: int) -> None:
        self._step("truncate")
        super().truncate(fd, n_bytes)

    def write(self, fd: int, pieces: Sequence[Buffer]) -> int:
        self._step("write")
        half = memoryview(b"".join(pieces))
        n_written = super().write(fd, [half[: max(1, len(half) // 2)]])
        self._step("half written")
        return n_written

    def read(self, fd: int, buffer: memoryview) -> int:
        self._step("read")
        return super().read(fd, buffer[: max(1, len(buffer) // 2)])

    def fsync(self, fd: int) -> None:
        self._step("fsync")  # and no more: killing a process loses no page of the system's cache

    def flock(self, fd: int) -> None:
        self._step("flock")
        super().flock(fd)

    def fstat(self, fd: int) -> os.stat_result:
        self._step("fstat")
        return super().fstat(fd)

    def stat(self, path: str) -> os.stat_result:
        self._step("stat")
        return super().stat(path)

    def scan(self, path: str) -> Iterator[FileFacts]:
        self._step("scan")
        return super().scan(path)

    def touch(self, fd: int, used_ns: int) -> None:
        self._step("touch")
        super().touch(fd, used_ns)

    def mkdir(self, path: str) -> None:
        self._step("mkdir")
        super().mkdir(path)

    def link(self, source: str, target: str) -> None:
        self._step("link")
        super().link(source, target)

    def rename(self, source: str, target: str) -> None:
        self._step("rename")
        super().rename(source, target)

    def unlink(self, path: str) -> None:
        self._step("unlink")
        super().unlink(path)


class LonelyFiles(QuickFiles):
    """Says of every other process that it is dead, or that nobody knows; lets the clock jump."""

    def __init__(self, *, is_alive: bool | None = False) -> None:
        self.is_alive = is_alive
        self.jump_s = 0.0

    def is_running(self, owner: Owner) -> bool | None:
        return self.is_alive

    def now_ns(self) -> int:
        return super().now_ns() + int(self.jump_s * 1e9)


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def failing(error: int) -> Callable[[], None]:
    def strike() -> None:
        raise OSError(error, os.strerror(error))

    return strike


def tier_at(
    root: Path,
    *,
    bus: StrictBus,
    n_entries: int = 100,
    codec: str = "none",
    mac_key: bytes | None = None,
    files: FileSystem | None = None,
) -> DiskTier:
    return DiskTier(
        root,
        limit_bytes=n_entries * N_BYTES,
        codec=codec,
        bus=bus,
        mac_key=mac_key,
        files=files or QuickFiles(),
    )


def path_of(root: Path, entry: StoredEntry) -> Path:
    return root / entry_name(entry)


def plant_temporary(root: Path, owner: Owner, n_bytes: int = N_BYTES) -> Path:
    path = root / temporary_name("ab" * 16, owner)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(n_bytes))
    return path


DEAD = Owner(boot="01234567", pid_space=1, pid=1, started=1)
