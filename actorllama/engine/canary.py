"""Find out what a context's arithmetic holds: restored states, neighbours, prompts computed beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Literal, Protocol, TypeAlias, TypeVar

from attrs import frozen

from actorllama.errors import DecodeError, StateError
from actorllama.kvcache import fresh_memory
from actorllama.native import ContextFacts, InferenceContext, StepBatch

__all__ = ["CanaryReport", "Check", "Exactness", "OnHost", "known_limits", "level_of", "run_canary"]

R = TypeVar("R")

Exactness: TypeAlias = Literal["exact", "faithful", "lossy", "recomputed"]
"""``exact``: the tokens of the unbroken run, whatever ran beside it. ``faithful``: restored bytes are
identical, later logits may differ in their last bits because other sequences shared the batch.
``lossy``: restored rows were rounded, as was asked for. ``recomputed``: a prefix was computed again."""

_N_CELLS = 520  # kernels change their ways at 512 cells (llama-notes 0)
_N_CELLS_LEAST = 40
_N_LAST = 96  # the end of the prompt, which is computed again in other chunks
_CHUNK = 128  # other models step between two calls
_OTHER_CHUNKS = (64, 32)
_N_ROWS_MORE = 24  # single rows that are decoded after the prompts; each costs a small chunk at most


@frozen(kw_only=True)
class Check:
    """One thing that was tried, and how it went."""

    name: str
    passed: bool
    detail: str
    decides: Exactness
    """The best level that holds if this fails."""


@frozen(kw_only=True)
class CanaryReport:
    """What a canary found out."""

    checks: tuple[Check, ...]
    pads_lone_rows: bool
    """Whether a row alone is computed unlike rows together, so that exactness needs them never alone."""


class OnHost(Protocol):
    """Runs a function on the host thread and waits for it; between two calls other models take steps."""

    def __call__(self, work: Callable[[], R], /) -> R:
        """Run it there; what it raises is raised here."""
        ...


def run_canary(
    context: InferenceContext,
    *,
    on_host: OnHost | None = None,
    budget_s: float = math.inf,
    clock: Callable[[], float] = perf_counter,
) -> CanaryReport:
    """Try a context that holds nothing yet; blocks, and leaves all its sequences empty.

    Logits are compared bit by bit. Prompts are token ids that every vocabulary has.

    Args:
        context: Nothing else uses it; at least three sequences tell most.
        on_host: How to reach the thread that owns the context; by default the caller is that thread.
        budget_s: Where the whole would take longer than about this, a shorter prompt is tried; what then
            was not seen counts as failed where llama.cpp is known to change its ways further on.
        clock: Measures that time.

    Cost: one prefill of 520 tokens, two of 96, and some twenty decode steps.
    """
    canary = _Canary(context, on_host or _here, budget_s=budget_s, clock=clock)
    try:
        return canary.run()
    finally:
        canary.clear()


def level_of(checks: Sequence[Check]) -> Exactness:
    """Return the level that holds when these checks went so."""
    failed = {check.decides for check in checks if not check.passed}
    return "recomputed" if "recomputed" in failed else "faithful" if "faithful" in failed else "exact"


def known_limits(context: ContextFacts) -> tuple[Check, ...]:
    """Say what is known to be inexact, whether or not the canary happens to meet it."""
    if context.layout != "shared":
        return ()
    detail = "cells are shared; where a row lies, and its last bits, depend on the neighbours"
    return (Check(name="shared layout", passed=False, detail=detail, decides="faithful"),)


def _here(work: Callable[[], R], /) -> R:
    return work()


class _Canary:
    def __init__(
        self, context: InferenceContext, on_host: OnHost, *, budget_s: float, clock: Callable[[], float]
    ) -> None:
        self._context = context
        self._on_host = on_host
        self._budget_s = budget_s
        self._clock = clock
        facts = context.facts
        self._facts = facts
        self._n_seq = facts.n_seq
        self._n_least = 1
        self._chunk = min(_CHUNK, facts.n_batch)
        self._n_cells = max(8, min(_N_CELLS, facts.ctx_per_seq - 8))

    def run(self) -> CanaryReport:
        checks = [self._try("restored state", "recomputed", self._restored)]
        if checks[0].passed:
            checks.append(self._try("decoded alone and beside others", "faithful", self._beside_decoders))
            checks.append(self._try("prompt cut into other chunks", "faithful", self._chunks))
        return CanaryReport(checks=tuple(checks), pads_lone_rows=self._n_least > 1)

    def clear(self) -> None:
        def work() -> None:
            for seq_id in range(self._n_seq):
                self._context.clear_sequence(seq_id)

        self._on_host(work)

    def _try(self, name: str, decides: Exactness, attempt: Callable[[], tuple[bool, str]]) -> Check:
        try:
            passed, detail = attempt()
        except (StateError, DecodeError) as exc:
            passed, detail = False, str(exc)
        return Check(name=name, passed=passed, detail=detail, decides=decides)

    def _restored(self) -> tuple[bool, str]:
        self._shorten_to_budget()
        self._n_first = max(2, self._n_cells - _N_LAST)
        self._prefill(0, 0, self._n_first, chunk=self._chunk)
        self._early = self._save(0)
        self._prefill(0, self._n_first, self._n_cells, chunk=self._chunk)
        self._saved = self._save(0)
        live = self._decode((0,))
        other = self._n_seq - 1
        self._restore(other)
        restored = self._decode((other,))
        where = "the same sequence" if other == 0 else f"sequence {other}"
        return live == restored, f"{self._n_cells} cells, {len(self._saved)} bytes, restored into {where}"

    def _shorten_to_budget(self) -> None:
        """Take a shorter prompt where the whole canary would last longer than it may."""
        if math.isinf(self._budget_s):
            return
        n = min(_OTHER_CHUNKS[0], self._chunk, self._n_cells)
        self._prefill(0, 0, n, chunk=n)  # the first call also pays for what llama.cpp allocates late
        self.clear()
        began_s = self._clock()
        self._prefill(0, 0, n, chunk=n)
        token_s = (self._clock() - began_s) / n
        self.clear()
        n_affordable = int(self._budget_s / token_s) - 2 * _N_LAST - _N_ROWS_MORE if token_s > 0 else _N_CELLS
        self._n_cells = max(min(self._n_cells, n_affordable), min(self._n_cells, _N_CELLS_LEAST))

    def _beside_decoders(self) -> tuple[bool, str]:
        alone = self._alone()
        if self._differs(alone) and self._can_pad:
            # F32, F16 and BF16 weights: one row goes another way than two or more, which go the same one.
            self._n_least = 2
            alone = self._alone()
        if self._differs(alone):
            return False, f"differs beside {self._n_seq - 1} other rows at {self._n_cells} cells"
        if self._facts.flash_attention and self._n_cells < _N_CELLS <= self._facts.ctx_per_seq:
            return False, f"fused attention was tried to {self._n_cells} cells only; it changes at 512"
        how = "two rows and more" if self._n_least > 1 else f"beside up to {self._n_seq - 1} other rows"
        padding = "; a row is never computed alone" if self._n_least > 1 else ""
        return True, f"bit-equal {how} at {self._n_cells} cells{padding}"

    def _differs(self, alone: bytes) -> bool:
        """Tell whether a row's logits depend on how many rows are computed with it."""
        for n in sorted({min(2, self._n_seq), min(3, self._n_seq), self._n_seq}):
            for seq_id in range(n):
                self._restore(seq_id)
            if self._decode(tuple(range(n))) != alone:
                return True
        return False

    @property
    def _can_pad(self) -> bool:
        """Whether the engine can see to it that no row is alone (plan.py)."""
        facts = self._facts
        return (
            facts.layout == "isolated"
            and 2 <= facts.n_seq <= facts.n_ubatch
            and not self._context.cutter.needs_boundary
        )

    def _chunks(self) -> tuple[bool, str]:
        alone = self._alone()
        for chunk in _OTHER_CHUNKS:
            self._on_host(lambda: self._context.set_state(0, self._early, n_cells=self._n_first))
            self._prefill(0, self._n_first, self._n_cells, chunk=min(chunk, self._chunk))
            if self._decode_least() != alone:
                return False, f"differs when the prompt is computed in chunks of {chunk}"
        return True, f"bit-equal in chunks of {' and '.join(map(str, _OTHER_CHUNKS))}"

    def _alone(self) -> bytes:
        """Decode with as few rows as there ever are."""
        self.clear()
        self._restore(0)
        return self._decode_least()

    def _decode_least(self) -> bytes:
        for seq_id in range(1, self._n_least):
            self._restore(seq_id)
        return self._decode(tuple(range(self._n_least)))

    def _prefill(self, seq_id: int, first: int, n: int, *, chunk: int) -> None:
        while first < n:
            end = min(first + chunk, n)
            end = n if n - end == 1 else end  # never a lone row
            end = end if end - first <= self._facts.n_batch else end - 2
            positions = range(first, end)
            batch = StepBatch(
                tokens=[_token(p) for p in positions],
                positions=positions,
                seq_ids=[seq_id] * len(positions),
                outputs=[len(positions) - 1],
            )
            self._on_host(lambda batch=batch: self._context.decode(batch))  # type: ignore[misc]
            first = end

    def _decode(self, seq_ids: tuple[int, ...]) -> bytes:
        """Decode the next token of these sequences in one batch; the digest of the first one's logits."""
        n = len(seq_ids)
        batch = StepBatch(
            tokens=[_token(self._n_cells)] * n,
            positions=[self._n_cells] * n,
            seq_ids=seq_ids,
            outputs=range(n),
        )

        def work() -> bytes:
            self._context.decode(batch)
            return self._context.logits_digest(0)

        return self._on_host(work)

    def _save(self, seq_id: int) -> memoryview:
        def work() -> memoryview:
            buffer = fresh_memory(self._context.state_bytes(seq_id))
            return buffer[: self._context.get_state(seq_id, buffer)]

        return self._on_host(work)

    def _restore(self, seq_id: int) -> None:
        self._on_host(lambda: self._context.set_state(seq_id, self._saved, n_cells=self._n_cells))


def _token(position: int) -> int:
    return 3 + position * 7 % 61
