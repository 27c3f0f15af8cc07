"""A runtime of actorllama as a contestant's process opens it, from what the bench tells it."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import perf_counter

from attrs import evolve, field, frozen

from actorllama.config import Config
from actorllama.engine import (
    EngineOptions,
    ModelInfo,
    ReadCacheStatistics,
    TextPiece,
    TurnRequest,
    TurnResult,
    WaitReady,
    check_request,
    plain,
)
from actorllama.errors import SnapshotNotFound
from actorllama.ids import TurnId
from actorllama.kvcache import CacheOptions
from actorllama.runtime import Runtime, SamplingOptions, open_runtime
from actorllama.runtime.names import CACHE_NAME, model_name
from actorllama.runtime.resuming import find_snapshot
from actorllama.runtime.sampling_options import params_of
from actorllama.runtime.turn_taker import TurnTaker

__all__ = ["OwnAsk", "OwnOrder", "OwnRuntime", "open_own"]

_MODEL = "measured"


@frozen(kw_only=True)
class OwnOrder:
    """What the process is told as JSON, on its command line."""

    model: str
    n_slots: int
    ctx_per_slot: int
    n_threads: int
    ram_cache_bytes: int
    n_banned: int
    is_bare: bool
    """Keep no turn, and let no prompt begin with what others have computed."""
    saved: str | None
    """The state directory; ``None`` keeps nothing on disk."""


@frozen(kw_only=True)
class OwnAsk:
    """One turn."""

    prompt: tuple[int, ...] = field(repr=lambda ids: f"<{len(ids)} tokens>")
    n_reply: int
    after: str | None
    """The resume key of the turn that the prompt goes on from."""


class OwnRuntime:
    """One model that takes turns as a `Conversation` does, with token ids instead of messages.

    Every turn is kept. The next one names the turn before it by its resume key, so that it goes on from the
    very cells that the reply was decoded into; a bare prompt would have the reply computed again, as a part
    of a prompt (``engine/lineage.py``).

    Owner: the process.
    """

    def __init__(self, runtime: Runtime, taker: TurnTaker, order: OwnOrder) -> None:
        """Made by `open_own`."""
        self._runtime = runtime
        self._taker = taker
        banned = [*taker.info.vocabulary.end_tokens, *range(128, 128 + order.n_banned)]
        self._sampling = SamplingOptions(temperature=0.0, logit_bias=dict.fromkeys(banned, -math.inf))
        self._is_kept = not order.is_bare
        self._lineages: dict[str, tuple[int, ...]] = {}

    async def take(self, ask: OwnAsk, on_piece: Callable[[float, TextPiece], Awaitable[None]]) -> TurnResult:
        """Take a turn; hand over each piece with the time at which it came."""
        request = await self._request(ask)
        async with self._taker.stream(request, None, None) as turn:
            async for piece in turn:
                await on_piece(perf_counter(), piece)
        result = turn.result
        if ask.after is not None:
            self._lineages.pop(ask.after, None)
        if result.resume_key is not None:
            self._lineages[result.resume_key] = result.lineage
        return result

    async def cache_bytes(self) -> int:
        """Count the bytes of saved states in RAM."""
        cache = self._runtime.system.whereis(CACHE_NAME)
        if cache is None:
            return 0
        statistics = await cache.call(ReadCacheStatistics())
        return statistics.ram.used_bytes

    async def _request(self, ask: OwnAsk) -> TurnRequest:
        info = await self._taker.current_info()
        request = check_request(
            prompt=ask.prompt,
            sampling=params_of(self._sampling),
            max_tokens=ask.n_reply,
            stop=(),
            keep=self._is_kept,
            vocabulary=info.vocabulary,
            context=info.context,
        )
        lineage = () if ask.after is None else await self._lineage(ask.after, info)
        if lineage and plain(lineage) == request.prompt[: len(lineage)]:
            # The last token was chosen and has no cell.
            return evolve(request, past=lineage[:-1])
        return request

    async def _lineage(self, key: str, info: ModelInfo) -> tuple[int, ...]:
        known = self._lineages.get(key)
        if known is not None:
            return known
        try:
            return (await find_snapshot(self._taker.system, key, info, cache_salt="")).tokens
        except SnapshotNotFound:
            return ()


@asynccontextmanager
async def open_own(order: OwnOrder) -> AsyncGenerator[OwnRuntime, None]:
    """Open the runtime and load the model; everything that was not told is the default."""
    config = Config(
        cache=CacheOptions(ram_limit_bytes=order.ram_cache_bytes),
        engine=EngineOptions(prefix_cache=not order.is_bare),
    )
    root = None if order.saved is None else Path(order.saved)
    async with open_runtime(config, state_dir=root) as runtime:
        await runtime.load(
            _MODEL,
            order.model,
            n_seq=order.n_slots,
            ctx_per_seq=order.ctx_per_slot,
            n_threads=order.n_threads,
        )
        actor = runtime.system.whereis(model_name(_MODEL))
        assert actor is not None, "it was loaded just now"
        numbers = count(1)
        taker = TurnTaker(
            name=_MODEL,
            system=runtime.system,
            info=await actor.call(WaitReady(), timeout_s=math.inf),
            next_turn_id=lambda: TurnId(next(numbers)),
            cache_salt="",
        )
        yield OwnRuntime(runtime, taker, order)
