"""The sequences of one context: which are free, what they hold, and what of it is worth saving."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from attrs import evolve, frozen

from actorllama.engine.cache_messages import KeepCells
from actorllama.engine.commands import RestoredState
from actorllama.engine.idle_cells import IdleCells
from actorllama.engine.lineage import computed
from actorllama.engine.live_cells import HeldCells, LiveCells, LiveMatch
from actorllama.engine.namespace import salted
from actorllama.engine.prefix import Prefix, common_cells
from actorllama.engine.reports import CapturedCells, KeptState, LoopStatistics, TurnEnd
from actorllama.engine.request import TurnRequest
from actorllama.engine.slots import SlotPool
from actorllama.engine.taken_turn import TakenTurn
from actorllama.ids import TurnId
from actorllama.kvcache import Snapshot
from actorllama.native import StateCutter

__all__ = ["ContextCells", "Leader"]

_LABEL_MAX = 1000  # characters
_N_MEASURED = 64  # prompt tokens after which the time of one is known well enough


@frozen(kw_only=True)
class Leader:
    """A running turn whose prompt begins like another's, and is not computed that far yet."""

    turn_id: TurnId
    n_cells: int


class ContextCells:
    """Lease sequences by what they hold, and describe what turns leave behind.

    Owner: the turn desk.
    """

    def __init__(
        self,
        *,
        n_slots: int,
        namespace: str,
        block_tokens: int,
        n_reuse: int,
        shares: bool,
        cutter: StateCutter,
        can_restore: bool,
        model: str = "",
    ) -> None:
        """Begin with all sequences free and empty.

        Args:
            n_slots: Sequences of the context.
            namespace: Of all its states.
            block_tokens: Tokens of a block in the cache.
            n_reuse: Tokens that a prompt must have in common with something to use it.
            shares: Whether a prompt may begin with cells that another turn computed.
            cutter: Takes states of this context apart.
            can_restore: Whether a restored state is the one that was saved.
            model: Its name, for people who look at what is saved.
        """
        self.namespace = namespace
        self.cutter = cutter
        self.token_s: float | None = None
        """Seconds for computing one prompt token; ``None`` until some were computed."""
        self._slots = SlotPool(n_slots)
        self._live = LiveCells(is_sliceable=not cutter.needs_boundary)
        self._n_changes = 0
        self._block_tokens = block_tokens
        self._n_reuse = n_reuse
        self._shares = shares
        self._can_restore = can_restore
        self._model = model

    @property
    def n_free(self) -> int:
        """Sequences that nobody has."""
        return self._slots.n_free

    @property
    def n_live_cells(self) -> int:
        """Cells that idle sequences hold."""
        return self._live.n_cells

    @property
    def needs_boundary(self) -> bool:
        """Whether states of this context can only be gone on from where they were saved."""
        return self.cutter.needs_boundary

    def idle(self) -> tuple[IdleCells, ...]:
        """List what sequences hold that no turn has, as far as it could be restored."""
        if not self._can_restore:
            return ()
        return tuple(
            IdleCells(
                seq_id=seq_id,
                namespace=held.namespace,
                tokens=tuple(held.prefix.tokens),
                cutter=self.cutter,
                token_s=self.token_s,
            )
            for seq_id, held in self._live.held().items()
        )

    def prefix_of(self, request: TurnRequest) -> Prefix:
        """Name the cells that a turn can have without computing them, at most."""
        return self._prefix(request.marked[: request.n_reusable], request)

    def learn(self, statistics: LoopStatistics) -> None:
        """Take note of how long prompts take."""
        if statistics.n_prefilled >= _N_MEASURED:
            self.token_s = statistics.prefill_s / statistics.n_prefilled

    def find(self, taken: TakenTurn) -> LiveMatch | None:
        """Find the free sequence that begins most like a turn's prompt, if that is worth it.

        Cost: as of `LiveCells.find` once, and nothing until a sequence is leased or released.
        """
        if taken.matched_at != self._n_changes:
            taken.matched_at, taken.match = self._n_changes, self._find(taken)
        return taken.match

    def _find(self, taken: TakenTurn) -> LiveMatch | None:
        prefix, goes_on = taken.prefix, taken.message.request.goes_on
        if not (self._shares or goes_on):
            return None
        match = self._live.find(prefix, self._slots.free_ids, n_most=len(prefix.tokens))
        n_least = 1 if goes_on else min(self._n_reuse, len(prefix.tokens))
        return match if match is not None and match.n_cells >= n_least else None

    def n_available(self, taken: TakenTurn) -> int:
        """Count the cells that a turn would begin with if it started now."""
        match = self.find(taken)
        return max(match.n_cells if match else 0, taken.restore.n_cells if taken.restore else 0)

    def find_leader(self, prefix: Prefix, running: Iterable[TakenTurn]) -> Leader | None:
        """Find the running turn that has most of a prompt still to compute; it may be past that already."""
        best: Leader | None = None
        for taken in running:
            n_cells = min(common_cells(taken.prefix, prefix), taken.n_prompt - 2)
            n_passed = max(taken.n_offered, taken.n_passed)
            if n_cells >= n_passed + 2 and n_cells > (best.n_cells if best else 0):
                best = Leader(turn_id=taken.message.turn_id, n_cells=n_cells)
        return best

    def plan_copy(self, n_cells: int, *, n_had: int, awaited: AbstractSet[int]) -> int:
        """Choose how many of a leader's cells a follower gets: rather what others wait for already.

        Args:
            n_cells: What they have in common.
            n_had: Cells that the follower has anyway.
            awaited: Cells of the copies that others wait for.
        """
        n_least = max(n_cells - self._n_reuse, n_had + self._n_reuse - 1)
        near = max((n for n in awaited if n_least < n <= n_cells), default=None)
        # Two copies one token apart would leave the leader a single row to compute.
        return n_cells - (n_cells + 1 in awaited) if near is None else near

    def offer(self, taken: TakenTurn, captured: CapturedCells) -> None:
        """Give a waiting turn the cells that its leader has computed."""
        assert captured.kv is not None
        taken.restore = RestoredState(kv=captured.kv, n_cells=captured.n_cells, source="turn")
        taken.phase = "ready"

    def lease(self, taken: TakenTurn) -> int:
        """Give a turn a sequence; return how many of the cells there are its first."""
        match = self.find(taken)
        self._n_changes += 1
        n_restored = taken.restore.n_cells if taken.restore is not None else 0
        if match is not None and match.n_cells >= n_restored:
            taken.seq_id = self._slots.lease(match.seq_id)
            taken.n_offered = match.n_cells
            taken.restore = None
            self._live.forget(taken.seq_id)
            return match.n_cells
        taken.seq_id = self._slots.lease(spare=self._live)
        self._live.forget(taken.seq_id)
        taken.n_offered = n_restored
        return 0

    def release(self, taken: TakenTurn, end: TurnEnd, lineage: tuple[int, ...]) -> Prefix:
        """Take a sequence back, remember what it holds, and say it: the first of the turn's marked tokens."""
        self._n_changes += 1
        self._slots.release(end.seq_id)
        request = taken.message.request
        prefix = self._prefix(lineage[: end.n_cells], request)
        self._live.hold(end.seq_id, HeldCells(prefix=prefix, namespace=self.namespace_of(request)))
        return prefix

    def save_from(self, taken: TakenTurn) -> int | None:
        """Say from how many cells on a turn's end is worth saving: one block more than was there before."""
        if not self._can_restore:
            return None
        if self.needs_boundary:
            return max(self._n_reuse, taken.n_offered + self._n_reuse)
        return (taken.n_offered // self._block_tokens + 1) * self._block_tokens

    def kept_turn(
        self,
        taken: TakenTurn,
        end: TurnEnd,
        kept: KeptState,
        *,
        lineage: tuple[int, ...],
        created_s: float,
    ) -> KeepCells:
        """Describe what a turn leaves to the cache; ``lineage`` are its marked tokens."""
        cells = lineage[: end.n_cells]
        message = self._kept(taken.message.request, cells, kept)
        if kept.record is None:
            return message
        has_boundary = self.needs_boundary or len(cells) % self._block_tokens > 0
        snapshot = Snapshot(
            namespace=message.namespace,
            tokens=lineage,
            n_prompt=end.n_prompt,
            sampler=kept.record,
            block_tokens=self._block_tokens,
            has_blocks=self.cutter.has_blocks,
            has_boundary=has_boundary,
            created_s=created_s,
            label=": ".join(filter(None, (self._model, taken.message.request.label)))[:_LABEL_MAX],
        )
        return evolve(message, snapshot=snapshot)

    def kept_prefix(self, leader: TakenTurn, captured: CapturedCells) -> KeepCells:
        """Describe the beginning of a prompt that several turns share."""
        request = leader.message.request
        kept = KeptState(kv=captured.kv or b"", record=None)
        reply = captured.tokens[len(request.prompt) :]
        tokens = computed(request.prompt, request.past, n_restored=captured.n_restored, reply=reply)
        n_cells = len(captured.tokens) or captured.n_cells
        return self._kept(request, tokens[:n_cells], kept)

    def _kept(self, request: TurnRequest, tokens: tuple[int, ...], kept: KeptState) -> KeepCells:
        return KeepCells(
            namespace=self.namespace_of(request),
            tokens=tokens,
            kv=kept.kv if self._can_restore else None,
            cutter=self.cutter,
            token_s=self.token_s,
            snapshot=None,
        )

    def namespace_of(self, request: TurnRequest) -> str:
        """Name what this turn may share with others."""
        return salted(self.namespace, request.cache_salt)

    def _prefix(self, tokens: tuple[int, ...], request: TurnRequest) -> Prefix:
        return Prefix.of(self.namespace_of(request), tokens, block_tokens=self._block_tokens)
