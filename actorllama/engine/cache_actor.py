"""The actor that owns what was saved: it finds, brings and keeps the states of sequences."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import ClassVar, TypeAlias, assert_never

import trio
from attrs import frozen

from actorllama.actors import (
    Caller,
    Context,
    Exit,
    ExitReason,
    InitOutcome,
    NoReply,
    Normal,
    Outcome,
    Ready,
    Ref,
    Reply,
    Server,
    Stop,
    is_normal,
)
from actorllama.engine import events
from actorllama.engine.cache_jobs import CacheJob, JobOutcome, Join, Read, Split, Write, n_stored
from actorllama.engine.cache_memory import CacheMemory
from actorllama.engine.cache_messages import (
    CacheCall,
    CountCells,
    FindPrefix,
    FindSnapshot,
    GiveBack,
    KeepCells,
    OfferMemory,
    PrefixFound,
    ReadCacheStatistics,
)
from actorllama.engine.commands import RestoredState
from actorllama.engine.restore_cost import RestoreCost
from actorllama.engine.transit_memory import TransitMemory
from actorllama.errors import CacheError, TierFull
from actorllama.kvcache import (
    CacheOptions,
    DiskTier,
    Found,
    PrefixHit,
    PutReport,
    RamTier,
    Snapshot,
    SnapshotStore,
    chain_of,
    codec_named,
)

__all__ = ["CacheActor", "CacheNotice"]


@frozen(kw_only=True)
class JobDone:
    """A job has ended, one way or the other."""

    job: CacheJob
    outcome: JobOutcome


CacheNotice: TypeAlias = KeepCells | FindPrefix | JobDone | Exit


class CacheActor(Server[CacheCall, None, CacheNotice]):
    """Own the `SnapshotStore`: an index that answers in microseconds, tiers behind it.

    Whatever may take longer (cutting, reading, joining, writing) is done by a child in a thread, so that
    this actor always answers soon; writes are made one at a time, behind the turns' backs. What is being cut
    is known already: who asks for it meanwhile waits until it is there. At the end whatever still waits is
    written, within the grace of its supervisor. A child that crashes costs its job: this actor traps its
    exit and goes on.
    """

    trap_exits: ClassVar[bool] = True

    def __init__(self, options: CacheOptions, root: Path | None, *, mac_key: bytes | None = None) -> None:
        """Keep states in RAM, and below ``root`` if there is one, signed if there is a key."""
        self._options = options
        self._mac_key = mac_key
        self._root = root
        self._children: dict[Ref, CacheJob] = {}
        self._splitting: dict[str, Snapshot] = {}
        self._splitting_bytes = 0
        self._to_split: deque[KeepCells] = deque()  # the first one may be under way
        self._n_ordered = self._n_split = 0
        self._is_splitting = False
        self._deferred: deque[tuple[FindPrefix, int]] = deque()
        self._counting: deque[tuple[CountCells, Caller]] = deque()
        self._is_writing = False
        self._cost = RestoreCost()
        self._transit = TransitMemory()

    async def init(self, ctx: Context) -> InitOutcome:
        """Open the tiers; a disk tier that cannot be opened refuses the start."""
        self._context = ctx
        self._store = self._open() if self._root is None else await trio.to_thread.run_sync(self._open)
        self._memory = CacheMemory(self._store)
        return Ready()

    def _open(self) -> SnapshotStore:
        options, bus = self._options, self._context.bus
        disk = None
        if self._root is not None:
            disk = DiskTier(
                self._root,
                limit_bytes=options.disk_limit_bytes,
                temporary_age_s=options.temporary_age_s,
                codec=options.disk_codec,
                mac_key=self._mac_key,
                bus=bus,
            )
        store = SnapshotStore(
            ram=RamTier(limit_bytes=options.ram_limit_bytes, policy=options.policy, bus=bus),
            disk=disk,
            pending_limit_bytes=options.pending_limit_bytes,
            bus=bus,
        )
        if disk is not None:
            disk.sweep()
            store.refresh()
        return store

    async def handle_call(self, message: CacheCall, caller: Caller) -> Outcome:
        """Answer from the index at once, from the disk through a thread."""
        match message:
            case FindSnapshot():
                return Reply(await self._find_snapshot(message.key))
            case ReadCacheStatistics():
                return await self._count_all(caller)
            case CountCells():
                self._counting.append((message, caller))
                self._count()
                return NoReply()
            case OfferMemory():
                return Reply(self._memory.offer())
            case GiveBack():
                self._memory.begin(message, caller)
                await self._write_next()
                return NoReply()
        assert_never(message)

    async def _count_all(self, caller: Caller) -> Outcome:
        try:
            return Reply(await trio.to_thread.run_sync(self._store.statistics))
        except CacheError as error:  # a root that cannot be read now: no reason to rebuild what is in RAM
            caller.reply_error(error)
            return NoReply()

    async def handle_info(self, message: CacheNotice) -> Outcome:
        """Take an order, or the end of one."""
        match message:
            case KeepCells():
                self._keep(message)
            case FindPrefix():
                await self._find_prefix(message)
            case JobDone():
                self._children = {ref: job for ref, job in self._children.items() if job is not message.job}
                await self._done(message.job, message.outcome)
            case Exit():
                await self._lost(message)
        await self._split_next()
        self._memory.advance()
        self._count()
        await self._write_next()
        return NoReply()

    async def terminate(self, reason: ExitReason) -> None:
        """Keep what is being cut, and write what waits."""
        for child_job in list(self._children.values()):
            match child_job:
                case Split():
                    self._kept(child_job, await trio.to_thread.run_sync(child_job.run))
                case Write():
                    written = await trio.to_thread.run_sync(child_job.run)  # adopts what its child wrote
                    with suppress(CacheError):
                        self._store.finish(child_job.job, written)
                case Read() | Join():
                    pass  # nobody waits for it any more
        while self._to_split:
            split = self._split_of(self._to_split[0])
            self._kept(split, await trio.to_thread.run_sync(split.run))
        while (job := self._store.write_behind()) is not None:
            outcome = await trio.to_thread.run_sync(job.run)
            with suppress(CacheError):
                self._store.finish(job, outcome)

    # -- keeping -------------------------------------------------------------------------------

    def _keep(self, message: KeepCells) -> None:
        n_bytes = len(message.kv or b"")
        if self._splitting_bytes + n_bytes > self._options.pending_limit_bytes:
            measured = {"entry_bytes": n_bytes, "pending_bytes": self._splitting_bytes}
            self._context.bus.execute(events.CELLS_DROPPED, measured, {"reason": "too many bytes wait"})
            return
        if message.kv is not None and message.tokens:
            self._cost.learn_size(message.namespace, n_bytes=n_bytes, n_cells=len(message.tokens))
        if message.snapshot is not None:
            self._splitting[message.snapshot.key] = message.snapshot
        self._splitting_bytes += n_bytes
        self._n_ordered += 1
        self._to_split.append(message)

    async def _split_next(self) -> None:
        """Cut one state after the other: what two have in common is cut out of the first only."""
        while self._to_split and not self._is_splitting:
            self._is_splitting = True
            await self._run(self._split_of(self._to_split[0]))

    def _split_of(self, message: KeepCells) -> Split:
        chain = chain_of(message.namespace, message.tokens, block_tokens=self._options.block_tokens)
        return Split(
            message=message,
            chain=chain,
            first_block=n_stored(self._store, message, chain),
            is_rounded=codec_named(self._options.disk_codec).is_lossy,
        )

    def _kept(self, job: Split, outcome: JobOutcome) -> None:
        message = job.message
        self._to_split.popleft()
        self._n_split += 1
        self._is_splitting = False
        self._splitting_bytes -= len(message.kv or b"")
        snapshot = message.snapshot
        if snapshot is not None:
            self._splitting.pop(snapshot.key, None)
        if not isinstance(outcome, tuple):
            measured = {"entry_bytes": len(message.kv or b""), "pending_bytes": self._splitting_bytes}
            self._context.bus.execute(events.CELLS_DROPPED, measured, {"reason": str(outcome)})
            outcome = ()
        entries = outcome if snapshot is None else (*outcome, snapshot)
        if entries:
            # Told as an event by the tier; a cache that is full loses time, not an answer.
            with suppress(TierFull):
                if snapshot is None:
                    self._store.put_in_ram(entries)
                else:
                    self._store.put_state(entries)

    # -- finding -------------------------------------------------------------------------------

    async def _find_prefix(self, question: FindPrefix, n_before: int | None = None) -> None:
        """Look, once all that was ordered before and may be what is looked for has been cut."""
        n_before = self._n_ordered if n_before is None else n_before
        before = islice(self._to_split, max(0, n_before - self._n_split))
        if any(_begins_alike(message, question) for message in before):
            self._deferred.append((question, n_before))
            return
        hit = self._longest_prefix(question, question.tokens)
        if hit is None or hit.n_cells < question.n_least:
            self._answer(question, None)
            return
        is_worth = self._cost.is_worth(
            question.namespace,
            n_cells=hit.n_cells,
            n_had=question.n_had,
            tier=hit.tier,
            token_s=question.token_s,
        )
        if not is_worth:
            self._answer(question, None)
            return
        await self._run(Read(question=question, hit=hit, job=self._store.read(hit.keys)))

    async def _have_read(self, job: Read, outcome: JobOutcome) -> None:
        if not isinstance(outcome, tuple):
            self._answer(job.question, None)
            return
        entries = self._store.finish_read(job.job, outcome)
        if len(entries) < len(job.hit.keys):  # a part is gone or damaged: less is left, and is looked for
            await self._find_prefix(job.question)
            return
        join = Join(question=job.question, hit=job.hit, entries=entries, began_s=job.began_s)
        await self._run(join.placed(self._transit))

    def _joined(self, job: Join, outcome: JobOutcome) -> None:
        n_bytes = sum(entry.n_bytes for entry in job.entries)
        if isinstance(outcome, RestoredState):
            self._cost.learn_speed(job.hit.tier, n_bytes=n_bytes, duration_s=perf_counter() - job.began_s)
            self._answer(job.question, outcome)
            return
        measured = {"entry_bytes": n_bytes, "pending_bytes": self._splitting_bytes}
        self._context.bus.execute(events.CELLS_DROPPED, measured, {"reason": str(outcome)})
        self._answer(job.question, None)

    def _answer(self, question: FindPrefix, restore: RestoredState | None) -> None:
        if question.reply_to.is_alive:
            question.reply_to.info_nowait(PrefixFound(turn_id=question.turn_id, restore=restore))

    def _count(self) -> None:
        """Say how much of a sequence is saved, once nothing of it can still be on its way."""
        while self._counting and not self._to_split:
            question, caller = self._counting.popleft()
            # A hit has fewer tokens than what it begins.
            hit = self._longest_prefix(question, (*question.tokens, 0))
            caller.reply(hit.n_cells if hit is not None else 0)

    def _longest_prefix(self, question: FindPrefix | CountCells, tokens: tuple[int, ...]) -> PrefixHit | None:
        return self._store.index.longest_prefix(
            question.namespace,
            tokens,
            block_tokens=self._options.block_tokens,
            needs_boundary=question.cutter.needs_boundary,
            needs_blocks=question.cutter.has_blocks,
        )

    async def _find_snapshot(self, key: str) -> Found | None:
        waiting = self._splitting.get(key)
        if waiting is not None:
            return Found(entry=waiting, tier="ram")
        found = self._store.get_ram(key)
        if found is not None or self._store.disk is None:
            return found
        return await trio.to_thread.run_sync(self._store.get, key)

    # -- work ----------------------------------------------------------------------------------

    async def _run(self, job: CacheJob) -> None:
        """Run a quick job now, any other in a child."""
        if job.is_quick:
            await self._done(job, job.run())
            return
        ref = self._context.ref
        # Taken out once: what is left of a dead child would hold its states until a collection.
        handed = [job]
        child = await self._context.start(lambda: Worker(handed.pop(), ref.info_nowait))
        self._children[child] = job

    async def _done(self, job: CacheJob, outcome: JobOutcome) -> None:
        match job:
            case Split():
                self._kept(job, outcome)
                waiting, self._deferred = self._deferred, deque()
                for question, n_before in waiting:
                    await self._find_prefix(question, n_before)
            case Read():
                await self._have_read(job, outcome)
            case Join():
                self._joined(job, outcome)
            case Write():
                self._is_writing = False
                if isinstance(outcome, PutReport | CacheError):
                    with suppress(CacheError):
                        self._store.finish(job.job, outcome)
            case _:
                assert_never(job)

    async def _lost(self, message: Exit) -> None:
        """Take note of a child's end; one that crashed has lost its job."""
        job = self._children.pop(message.ref, None) if message.ref is not None else None
        if job is not None and not is_normal(message.reason):
            await self._done(job, CacheError(f"its worker crashed: {message.reason}"))

    async def _write_next(self) -> None:
        if self._is_writing or (job := self._store.write_behind()) is None:
            return
        self._is_writing = True
        await self._run(Write(job=job))


def _begins_alike(message: KeepCells, question: FindPrefix) -> bool:
    n = question.n_least
    return message.namespace == question.namespace and message.tokens[:n] == question.tokens[:n]


class Worker(Server[None, None, None]):
    """Run one job in a thread and report it, so that the cache answers meanwhile."""

    def __init__(self, job: CacheJob, report: Callable[[JobDone], None]) -> None:
        """Run ``job`` and hand its outcome to ``report``."""
        self._job: CacheJob | None = job
        self._report = report

    async def init(self, ctx: Context) -> InitOutcome:
        """Begin once the cache has gone on."""
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Work and report."""
        job, self._job = self._job, None
        assert job is not None, "it begins once"
        outcome: JobOutcome = await trio.to_thread.run_sync(job.run)
        self._report(JobDone(job=job, outcome=outcome))
        return Stop(Normal())
