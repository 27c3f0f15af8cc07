"""The bare thing beside a warm turn: llama.cpp's own calls on the engine's thread, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import trio

from actorllama.engine import EngineHost
from actorllama.native import ContextOptions, InferenceContext, ModelOptions, NativeModel, StepBatch
from actorllama.runtime import Runtime

__all__ = ["WarmBare"]

R = TypeVar("R")


class WarmBare:
    """A second context on the same file, with sequences of the same size; its first one is used.

    Owner: the bench; every call runs on the host thread, between the steps of turns.
    """

    def __init__(self, *, native: NativeModel, context: InferenceContext, host: EngineHost) -> None:
        """Made by `open`."""
        self._native = native
        self._context = context
        self._host = host
        self._touched = memoryview(b"")

    @classmethod
    async def open(cls, rt: Runtime, path: Path, options: ContextOptions) -> WarmBare:
        """Load the file once more, for a context with the options of the runtime's."""

        def load() -> tuple[NativeModel, InferenceContext]:
            native = rt.backend.load(path, ModelOptions(), lambda _fraction: True)
            return native, native.open_context(options)

        native, context = await trio.to_thread.run_sync(load)
        return cls(native=native, context=context, host=await rt.host())

    async def close(self) -> None:
        """Free the context and the model."""

        def close() -> None:
            self._context.close()
            self._native.close()

        await trio.to_thread.run_sync(close)

    async def prefill_s(self, tokens: Sequence[int]) -> float:
        """Compute a prompt in an empty sequence; seconds until its logits are there."""

        def work() -> float:
            self._context.clear_sequence(0)
            began_s = perf_counter()
            self._decode(tokens, at=0)
            return perf_counter() - began_s

        return await self._run(work)

    async def suffix_s(self, suffix: Sequence[int], *, n_cells: int) -> float:
        """Compute what follows the first ``n_cells`` cells, which are there."""

        def work() -> float:
            began_s = perf_counter()
            self._context.rollback(0, n_cells)
            self._decode(suffix, at=n_cells)
            return perf_counter() - began_s

        return await self._run(work)

    async def restored_s(self, state: memoryview, suffix: Sequence[int], *, n_cells: int) -> float:
        """Put a state into the sequence and compute what follows."""

        def work() -> float:
            began_s = perf_counter()
            self._context.set_state(0, state, n_cells=n_cells)
            self._decode(suffix, at=n_cells)
            return perf_counter() - began_s

        return await self._run(work)

    async def state(self) -> memoryview:
        """Copy the sequence's state out."""

        def work() -> memoryview:
            buffer = memoryview(bytearray(self._context.state_bytes(0)))
            return buffer[: self._context.get_state(0, buffer)]

        return await self._run(work)

    async def three_costs_s(self, *, n_cells: int, n_tokens: int) -> tuple[float, float, float]:
        """Save the first ``n_cells`` cells, put them back, decode behind them token by token.

        Returns:
            Seconds of decoding all ``n_tokens``, of ``set_state``, of ``get_state`` into pages that were
            touched before (from the second call on).
        """

        def work() -> tuple[float, float, float]:
            context = self._context
            context.rollback(0, n_cells)
            n_bytes = context.state_bytes(0)
            if len(self._touched) < n_bytes:
                self._touched = memoryview(bytearray(n_bytes))
            began_s = perf_counter()
            state = self._touched[: context.get_state(0, self._touched)]
            saved_s = perf_counter()
            context.clear_sequence(0)
            cleared_s = perf_counter()
            context.set_state(0, state, n_cells=n_cells)
            restored_s = perf_counter()
            for number in range(n_tokens):
                self._decode((3 + number % 64,), at=n_cells + number)
            return perf_counter() - restored_s, restored_s - cleared_s, saved_s - began_s

        return await self._run(work)

    def _decode(self, tokens: Sequence[int], *, at: int) -> None:
        n_batch = self._context.facts.n_batch
        for first in range(0, len(tokens), n_batch):
            part = tokens[first : first + n_batch]
            is_last = first + n_batch >= len(tokens)
            self._context.decode(
                StepBatch(
                    tokens=part,
                    positions=range(at + first, at + first + len(part)),
                    seq_ids=[0] * len(part),
                    outputs=[len(part) - 1] if is_last else [],
                )
            )
        self._context.logits_digest(0)  # llama.cpp waits for what it computes until somebody reads it

    async def _run(self, work: Callable[[], R]) -> R:
        return await trio.to_thread.run_sync(lambda: self._host.run(work).result())
