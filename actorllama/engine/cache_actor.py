"""The actor that owns the saved turn boundaries."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import ClassVar, TypeAlias, assert_never

import trio
from attrs import frozen

from actorllama.actors import (
    Call,
    Caller,
    Context,
    Exit,
    ExitReason,
    InitOutcome,
    NoReply,
    Normal,
    Outcome,
    Ready,
    Reply,
    Server,
    Stop,
    is_normal,
)
from actorllama.errors import CacheError, TierFull
from actorllama.kvcache import (
    CacheOptions,
    DiskTier,
    Found,
    Hit,
    PutReport,
    RamTier,
    Snapshot,
    SnapshotStore,
    StoreStatistics,
    WriteJob,
)

__all__ = ["CacheActor", "CacheCall", "CacheNotice", "FindSnapshot", "KeepSnapshot", "ReadCacheStatistics"]


@frozen(kw_only=True)
class FindSnapshot(Call["Hit | None"]):
    """Look a snapshot up in every tier. Behind a `KeepSnapshot` of the same sender it is found."""

    key: str


@frozen(kw_only=True)
class ReadCacheStatistics(Call[StoreStatistics]):
    """Ask what the tiers hold."""


CacheCall: TypeAlias = FindSnapshot | ReadCacheStatistics


@frozen(kw_only=True)
class KeepSnapshot:
    """Keep a snapshot: in RAM now, on disk behind the turn's back."""

    snapshot: Snapshot


@frozen(kw_only=True)
class Written:
    """A write to the disk tier has ended, one way or the other."""

    job: WriteJob
    outcome: PutReport | CacheError


CacheNotice: TypeAlias = KeepSnapshot | Written | Exit


class CacheActor(Server[CacheCall, None, CacheNotice]):
    """Own the `SnapshotStore`; write behind; never on the path of a token.

    Reading from the disk and writing to it happen in worker threads, one write at a time. At the end
    whatever still waits is written, within the grace of its supervisor. A writer that crashes costs
    one file: this actor traps its exit and goes on.
    """

    trap_exits: ClassVar[bool] = True

    def __init__(self, options: CacheOptions, root: Path | None) -> None:
        """Keep snapshots in RAM, and below ``root`` if there is one."""
        self._options = options
        self._root = root

    async def init(self, ctx: Context) -> InitOutcome:
        """Open the tiers; a disk tier that cannot be opened refuses the start."""
        self._context = ctx
        options, root, bus = self._options, self._root, ctx.bus
        disk = None
        if root is not None:
            disk = await trio.to_thread.run_sync(
                lambda: DiskTier(
                    root,
                    limit_bytes=options.disk_limit_bytes,
                    temporary_age_s=options.temporary_age_s,
                    bus=bus,
                )
            )
        self._store = SnapshotStore(
            ram=RamTier(limit_bytes=options.ram_limit_bytes, bus=bus),
            disk=disk,
            pending_limit_bytes=options.pending_limit_bytes,
            bus=bus,
        )
        self._writing: WriteJob | None = None
        return Ready()

    async def handle_call(self, message: CacheCall, caller: Caller) -> Outcome:
        """Answer from RAM at once, from the disk through a thread."""
        match message:
            case FindSnapshot():
                return Reply(await self._find(message.key))
            case ReadCacheStatistics():
                return Reply(await trio.to_thread.run_sync(self._store.statistics))
        assert_never(message)

    async def handle_info(self, message: CacheNotice) -> Outcome:
        """Keep a snapshot, or take note of a write."""
        match message:
            case KeepSnapshot():
                # Told as an event by the tier; a cache that is full loses time, not an answer.
                with suppress(TierFull):
                    self._store.put(message.snapshot)
            case Written():
                self._finish(message.job, message.outcome)
            case Exit():
                if self._writing is not None and not is_normal(message.reason):
                    self._finish(self._writing, CacheError(f"the writer crashed: {message.reason}"))
        await self._write_next()
        return NoReply()

    async def terminate(self, reason: ExitReason) -> None:
        """Write what waits."""
        job = self._writing or self._store.write_behind()  # what its writer has done already is adopted
        while job is not None:
            outcome = await trio.to_thread.run_sync(job.run)
            with suppress(CacheError):
                self._store.finish(job, outcome)
            job = self._store.write_behind()

    def _finish(self, job: WriteJob, outcome: PutReport | CacheError) -> None:
        self._writing = None
        with suppress(CacheError):
            self._store.finish(job, outcome)

    async def _find(self, key: str) -> Hit | None:
        found = self._store.get_ram(key)
        disk = self._store.disk
        if found is None and disk is not None:
            entry = await trio.to_thread.run_sync(disk.get, key)
            if entry is not None:
                self._store.promote(entry)
                found = Found(entry=entry, tier="disk")
        if found is None or not isinstance(found.entry, Snapshot) or found.entry.kv is None:
            return None
        return Hit(snapshot=found.entry, tier=found.tier)

    async def _write_next(self) -> None:
        if self._writing is not None or (job := self._store.write_behind()) is None:
            return
        self._writing = job
        await self._context.start(lambda: Writer(job, self._context))


class Writer(Server[None, None, None]):
    """Run one write in a thread and report it, so that the cache answers meanwhile."""

    def __init__(self, job: WriteJob, owner: Context) -> None:
        """Write ``job`` for ``owner``."""
        self._job = job
        self._owner = owner

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the cache has gone on."""
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Write and report."""
        outcome = await trio.to_thread.run_sync(self._job.run)
        self._owner.ref.info_nowait(Written(job=self._job, outcome=outcome))
        return Stop(Normal())
