"""The actor that owns what was saved: it finds, brings and keeps the states of sequences."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import ClassVar, Final, TypeAlias, assert_never

import trio
from attrs import evolve

from actorllama.actors import (
    Caller,
    Context,
    Exit,
    ExitReason,
    InitOutcome,
    NoReply,
    Outcome,
    Ready,
    Ref,
    Reply,
    Server,
    is_normal,
)
from actorllama.engine import events
from actorllama.engine.bring_queue import BringQueue
from actorllama.engine.cache_jobs import (
    Bring,
    Brought,
    CacheJob,
    JobOutcome,
    Prefetch,
    Split,
    Touch,
    Write,
    begun,
)
from actorllama.engine.cache_lookup import find_snapshot, longest_prefix
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
    TrimIdle,
    TrimMore,
)
from actorllama.engine.cache_opening import open_cache
from actorllama.engine.cache_worker import CacheWorker, JobDone
from actorllama.engine.commands import RestoredState
from actorllama.engine.idle_clock import IdleClock
from actorllama.engine.job_memory import JobMemory, MemoryLoan
from actorllama.engine.prefetcher import Prefetcher
from actorllama.engine.restore_cost import RestoreCost
from actorllama.engine.split_queue import SplitQueue
from actorllama.errors import CacheError, StateError, TierFull
from actorllama.kvcache import (
    CacheOptions,
    PutReport,
    StoredEntry,
    chain_of,
    codec_named,
)

__all__ = ["CacheActor", "CacheNotice"]


_AHEAD_BYTES: Final = 64 << 20  # most that is touched for a state that nobody has asked for yet

CacheNotice: TypeAlias = KeepCells | FindPrefix | JobDone | TrimIdle | TrimMore | Exit


class CacheActor(Server[CacheCall, None, CacheNotice]):
    """Own the `SnapshotStore`: an index that answers in microseconds, tiers behind it.

    Whatever may take longer (cutting, bringing, writing) is done by a child in a thread, so that
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
        self._to_split = SplitQueue(limit_bytes=options.pending_limit_bytes)
        self._is_splitting = False
        self._deferred: deque[tuple[FindPrefix, int]] = deque()
        self._counting: deque[tuple[CountCells, Caller]] = deque()
        self._is_writing = False
        self._cost = RestoreCost()
        self._bringing = BringQueue()
        self._job_memory = JobMemory(
            ram_limit_bytes=options.ram_limit_bytes, pending_limit_bytes=options.pending_limit_bytes
        )

    async def init(self, ctx: Context) -> InitOutcome:
        """Open the tiers; a disk tier that cannot be opened refuses the start."""
        self._context = ctx
        opening = partial(open_cache, self._options, self._root, mac_key=self._mac_key, bus=ctx.bus)
        opened = opening() if self._root is None else await trio.to_thread.run_sync(opening)
        self._store, self._latest_bytes = opened.store, opened.state_bytes
        self._prefetcher = Prefetcher(self._store, opened.turns, bus=ctx.bus)
        self._idle = IdleClock(ctx, TrimIdle())
        self._memory = CacheMemory(self._store, self._job_memory, trim=self._begin_trim)
        return Ready(continue_with=None)

    async def handle_continue(self, term: object) -> Outcome:
        """Have pages at hand for the turn that goes on first, and rows: while a model loads nobody waits."""
        pages = self._job_memory.ahead_of_bringing(min(self._latest_bytes, _AHEAD_BYTES))
        if pages is not None:
            await self._run(Touch(pages=pages))
        await self._prefetch_next()
        return NoReply()

    async def handle_call(self, message: CacheCall, caller: Caller) -> Outcome:
        """Answer from the index at once, from the disk through a thread."""
        match message:
            case FindSnapshot():
                return Reply(await find_snapshot(self._store, self._to_split, message.key))
            case ReadCacheStatistics():
                return await self._count_all(caller)
            case CountCells():
                self._counting.append((message, caller))
                self._count()
                return NoReply()
            case OfferMemory():
                return Reply(self._memory.offer())
            case GiveBack():
                self._prefetcher.give_up()
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
            case TrimIdle():
                if self._idle.is_over():
                    self._job_memory.rest()
            case TrimMore():
                pass
            case Exit():
                await self._lost(message)
        if isinstance(message, KeepCells | FindPrefix):  # what was touched for the first of them waits for it
            self._idle.note_use()
        await self._split_next()
        self._memory.advance()
        self._trim()
        self._count()
        await self._write_next()
        return NoReply()

    async def terminate(self, reason: ExitReason) -> None:
        """Keep what is being cut, and write what waits."""
        for child_job in list(self._children.values()):
            match child_job:
                case Split():  # in memory of its own: its child's thread may not have ended
                    again = evolve(child_job, memory=MemoryLoan())
                    self._kept(again, await trio.to_thread.run_sync(again.run))
                case Write():
                    written = await trio.to_thread.run_sync(child_job.run)  # adopts what its child wrote
                    with suppress(CacheError):
                        self._store.finish(child_job.job, written)
                case Bring() | Prefetch() | Touch():
                    pass  # nobody waits for it any more
        while len(self._to_split):
            split = self._split_of(self._to_split.first)
            self._kept(split, await trio.to_thread.run_sync(split.run))
        while (job := self._store.write_behind()) is not None:
            outcome = await trio.to_thread.run_sync(job.run)
            with suppress(CacheError):
                self._store.finish(job, outcome)

    # -- keeping -------------------------------------------------------------------------------

    def _keep(self, message: KeepCells) -> None:
        if not self._to_split.order(message):
            self._dropped(len(message.kv or b""), "too many bytes wait")
            return
        if message.kv is not None and message.tokens:
            n_cells = len(message.tokens)
            self._cost.learn_size(message.namespace, n_bytes=len(message.kv), n_cells=n_cells)

    async def _split_next(self) -> None:
        """Cut one state after the other: what two have in common is cut out of the first only."""
        while len(self._to_split) and not self._is_splitting:
            self._is_splitting = True
            split = self._split_of(self._to_split.first)
            await self._run(evolve(split, memory=self._job_memory.lend_for_cutting()))

    def _split_of(self, message: KeepCells) -> Split:
        chain = chain_of(message.namespace, message.tokens, block_tokens=self._options.block_tokens)
        first_block, held = begun(self._store, message, chain)
        return Split(
            message=message,
            chain=chain,
            first_block=first_block,
            held=held,
            is_rounded=codec_named(self._options.disk_codec).is_lossy,
        )

    def _kept(self, job: Split, outcome: JobOutcome) -> None:
        self._to_split.done()
        self._is_splitting = False
        if isinstance(outcome, tuple):
            outcome = (*job.held, *outcome)
        else:
            self._dropped(len(job.message.kv or b""), str(outcome))
            outcome = ()
        snapshot = job.message.snapshot
        entries = outcome if snapshot is None else (*outcome, snapshot)
        if entries:
            # Told as an event by the tier; a cache that is full loses time, not an answer.
            with suppress(TierFull):
                if snapshot is None:
                    self._store.put_in_ram(entries)
                else:
                    self._store.put_state(entries)

    async def _touch_ahead(self, entries: Sequence[StoredEntry]) -> None:
        """Have pages at hand for a next state like the one that was cut."""
        if any(isinstance(job, Touch) for job in self._children.values()):
            return
        pages = self._job_memory.ahead(entry.n_bytes for entry in entries)
        if pages is not None:
            await self._run(Touch(pages=pages))

    def _dropped(self, n_bytes: int, reason: str) -> None:
        measured = {"entry_bytes": n_bytes, "pending_bytes": self._to_split.used_bytes}
        self._context.bus.execute(events.CELLS_DROPPED, measured, {"reason": reason})

    def _begin_trim(self) -> None:
        self._job_memory.want_trim()
        self._trim()

    def _trim(self) -> None:
        """Give pages that nobody has back to the system, if memory is short; in portions."""
        if self._job_memory.trim():
            self._context.ref.info_nowait(TrimMore())

    # -- finding -------------------------------------------------------------------------------

    async def _find_prefix(self, question: FindPrefix, n_before: int | None = None) -> None:
        """Look, once all that was ordered before and may be what is looked for has been cut."""
        n_before = self._to_split.n_ordered if n_before is None else n_before
        if self._to_split.may_begin(question, n_before=n_before):
            self._deferred.append((question, n_before))
            return
        hit = longest_prefix(self._store, question, question.tokens, block_tokens=self._options.block_tokens)
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
        if not self._bringing.may_begin(hit.tier, question, n_before=n_before):
            return
        job = self._store.read(hit.keys)
        memory = self._job_memory.lend_for_bringing(reads=job.needs_disk)
        await self._run(Bring(question=question, hit=hit, job=job, memory=memory))

    async def _find_again(self, questions: Iterable[tuple[FindPrefix, int]]) -> None:
        for question, n_before in questions:
            await self._find_prefix(question, n_before)

    async def _brought(self, job: Bring, outcome: JobOutcome) -> None:
        if not isinstance(outcome, Brought):
            self._answer(job.question, None)
            return
        if isinstance(outcome.restore, RestoredState):
            n_bytes, duration_s = len(outcome.restore.kv), perf_counter() - job.began_s
            self._cost.learn_speed(job.hit.tier, n_bytes=n_bytes, duration_s=duration_s)
            self._answer(job.question, outcome.restore)
            await trio.lowlevel.checkpoint()  # who asked goes on before this one puts things in order
        entries = self._store.finish_read(job.job, outcome.read)
        if isinstance(outcome.restore, StateError):
            self._dropped(sum(entry.n_bytes for entry in entries), str(outcome.restore))
            self._answer(job.question, None)
        elif outcome.restore is None:  # a part is gone or damaged: less is left, and is looked for
            await self._find_prefix(job.question)

    def _answer(self, question: FindPrefix, restore: RestoredState | None) -> None:
        if question.reply_to.is_alive:
            question.reply_to.info_nowait(PrefixFound(turn_id=question.turn_id, restore=restore))

    def _count(self) -> None:
        """Say how much of a sequence is saved, once nothing of it can still be on its way."""
        while self._counting and not len(self._to_split):
            question, caller = self._counting.popleft()
            # A hit has fewer tokens than what it begins.
            tokens = (*question.tokens, 0)
            hit = longest_prefix(self._store, question, tokens, block_tokens=self._options.block_tokens)
            caller.reply(hit.n_cells if hit is not None else 0)

    # -- work ----------------------------------------------------------------------------------

    async def _run(self, job: CacheJob) -> None:
        """Run a quick job now, any other in a child."""
        if job.is_quick:
            await self._done(job, job.run())
            return
        ref = self._context.ref
        # Taken out once: what is left of a dead child would hold its states until a collection.
        handed = [job]
        child = await self._context.start(lambda: CacheWorker(handed.pop(), ref.info_nowait))
        self._children[child] = job

    async def _done(self, job: CacheJob, outcome: JobOutcome) -> None:
        match job:
            case Split():
                self._job_memory.take_back(job.memory)
                self._kept(job, outcome)
                waiting, self._deferred = self._deferred, deque()
                await self._find_again(waiting)
                if isinstance(outcome, tuple):
                    await self._touch_ahead(outcome)
            case Bring():
                self._job_memory.take_back(job.memory)
                again = self._bringing.ended(job.hit.tier)
                await self._brought(job, outcome)
                await self._find_again(again)
            case Prefetch():
                self._job_memory.take_back(job.memory)
                self._prefetcher.done(job, outcome, duration_s=perf_counter() - job.began_s)
                await self._prefetch_next()
            case Touch():
                pass
            case Write():
                self._is_writing = False
                if isinstance(outcome, PutReport | CacheError):
                    with suppress(CacheError):
                        self._store.finish(job.job, outcome)
            case _:
                assert_never(job)

    async def _prefetch_next(self) -> None:
        job = self._prefetcher.next_job(self._job_memory.lend_for_cutting)
        if job is not None:
            await self._run(job)

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
