"""What a policy makes of a trace: the tier's own policy objects over blocks without bytes."""

from __future__ import annotations

from attrs import define

from actorllama.bench.block_trace import BlockTrace, TracedRequest
from actorllama.bench.prefill_cost import PrefillCost
from actorllama.kvcache.policy import EvictionPolicy, Offer

__all__ = ["Replay", "replay"]


@define(kw_only=True)
class Replay:
    """What happened, in counts."""

    n_hits: int = 0
    """Blocks found: of each request the longest prefix of blocks that were all there."""
    n_hit_tokens: int = 0
    saved_s: float = 0.0
    n_evicted: int = 0
    n_written: int = 0
    n_declined: int = 0


def replay(
    trace: BlockTrace, policy: EvictionPolicy, *, n_blocks_max: int, block_bytes: int, cost: PrefillCost
) -> Replay:
    """Let a policy keep at most so many blocks of a trace.

    Each request uses the prefix that is there, and then offers the rest from root to leaf; what follows a
    block that did not come in is not offered, for it could not be used.

    Cost: some microseconds for each block of each request.
    """
    seen = Replay()
    tier = _Tier(policy, n_blocks_max=n_blocks_max, block_bytes=block_bytes)
    keys = [format(block, "x") for block in range(trace.n_blocks)]
    for request in trace.requests:
        names = [keys[block] for block in request.blocks]
        worths_s = _worths_s(trace, request, cost)
        n_hits = tier.use_prefix(names)
        seen.n_hits += n_hits
        seen.n_hit_tokens += min(n_hits * trace.block_tokens, request.n_tokens)
        seen.saved_s += sum(worths_s[:n_hits])
        n_taken = tier.offer(names, worths_s, n_hits)
        seen.n_written += n_taken
        seen.n_declined += len(names) - n_hits - n_taken
    seen.n_evicted = seen.n_written - len(policy)
    return seen


class _Tier:
    def __init__(self, policy: EvictionPolicy, *, n_blocks_max: int, block_bytes: int) -> None:
        self._policy = policy
        self._n_free = n_blocks_max
        self._block_bytes = block_bytes
        self._held: set[str] = set()

    def use_prefix(self, names: list[str]) -> int:
        n_hits = 0
        for name in names:
            if name not in self._held:
                break
            self._policy.on_use(name)
            n_hits += 1
        return n_hits

    def offer(self, names: list[str], worths_s: list[float], first: int) -> int:
        """Offer the blocks from ``first`` on, and tell how many came in."""
        parent = names[first - 1] if first else None
        for index in range(first, len(names)):
            name = names[index]
            offer = Offer(key=name, n_bytes=self._block_bytes, worth_s=worths_s[index], parent=parent)
            if not self._make_room(offer):
                for late in names[index:]:
                    self._policy.on_decline(late)
                return index - first
            self._policy.on_put(offer)
            self._held.add(name)
            self._n_free -= 1
            parent = name
        return len(names) - first

    def _make_room(self, offer: Offer) -> bool:
        if self._n_free > 0:
            return True
        room = self._policy.plan_room(offer, needed_bytes=(1 - self._n_free) * self._block_bytes)
        for victim in room.victims:
            self._policy.on_evict(victim)
            self._held.remove(victim)
            self._n_free += 1
        return self._n_free > 0


def _worths_s(trace: BlockTrace, request: TracedRequest, cost: PrefillCost) -> list[float]:
    n = request.n_tokens
    starts = range(0, n, trace.block_tokens)
    return [cost.range_s(start, min(start + trace.block_tokens, n)) for start in starts]
