"""Find out what a context's arithmetic holds: restored states, neighbours, prompts computed beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from attrs import frozen

from actorllama.errors import DecodeError, StateError
from actorllama.native import InferenceContext, StepBatch

__all__ = ["Check", "Exactness", "level_of", "run_canary"]

Exactness: TypeAlias = Literal["exact", "faithful", "recomputed"]
"""``exact``: the tokens of the unbroken run, whatever ran beside it. ``faithful``: restored bytes are
identical, later logits may differ in their last bits because other sequences shared the batch.
``recomputed``: states cannot be saved; a prefix is computed again."""

_N_CELLS = 520  # kernels change their ways at 512 cells (llama-notes 0)
_N_BESIDE = 48


@frozen(kw_only=True)
class Check:
    """One thing that was tried, and how it went."""

    name: str
    passed: bool
    detail: str
    decides: Exactness
    """The best level that holds if this fails."""


def run_canary(context: InferenceContext) -> tuple[Check, ...]:
    """Try a fresh context of its own; runs on the host thread and blocks.

    Logits are compared bit by bit. Prompts are token ids that every vocabulary has.

    Args:
        context: Nothing else uses it; at least three sequences tell most.

    Cost: one prefill of 520 tokens and some twenty decode steps.
    """
    return _Canary(context).run()


def level_of(checks: Sequence[Check]) -> Exactness:
    """Return the level that holds when these checks went so."""
    failed = {check.decides for check in checks if not check.passed}
    return "recomputed" if "recomputed" in failed else "faithful" if "faithful" in failed else "exact"


class _Canary:
    def __init__(self, context: InferenceContext) -> None:
        self._context = context
        facts = context.facts
        self._n_seq = facts.n_seq
        self._n_batch = facts.n_batch
        self._n_cells = max(8, min(_N_CELLS, facts.ctx_per_seq - _N_BESIDE - 8))

    def run(self) -> tuple[Check, ...]:
        checks = [self._try("restored state", "recomputed", self._restored)]
        if not checks[0].passed:
            return tuple(checks)
        checks.append(self._try("decoded alone and beside others", "faithful", self._beside_decoders))
        checks.append(self._try("decoded beside a prompt", "faithful", self._beside_prompt))
        checks.append(self._try("prompt cut into other chunks", "faithful", self._chunks))
        return tuple(checks)

    def _try(self, name: str, decides: Exactness, attempt: Callable[[], tuple[bool, str]]) -> Check:
        try:
            passed, detail = attempt()
        except (StateError, DecodeError) as exc:
            passed, detail = False, str(exc)
        return Check(name=name, passed=passed, detail=detail, decides=decides)

    def _restored(self) -> tuple[bool, str]:
        self._prefill(0, self._n_cells, chunk=self._n_batch)
        self._saved = self._save(0)
        live = self._decode((0,))
        other = self._n_seq - 1
        self._restore(other)
        restored = self._decode((other,))
        where = "the same sequence" if other == 0 else f"sequence {other}"
        return live == restored, f"{self._n_cells} cells, {len(self._saved)} bytes, restored into {where}"

    def _beside_decoders(self) -> tuple[bool, str]:
        alone = self._alone()
        for n in sorted({min(2, self._n_seq), self._n_seq}):
            for seq_id in range(n):
                self._restore(seq_id)
            if self._decode(tuple(range(n))) != alone:
                return False, f"differs beside {n - 1} other rows at {self._n_cells} cells"
        return True, f"bit-equal beside up to {self._n_seq - 1} other rows at {self._n_cells} cells"

    def _beside_prompt(self) -> tuple[bool, str]:
        if self._n_seq == 1:
            return True, "one sequence has no neighbours"
        alone = self._alone()
        self._restore(0)
        self._context.clear_sequence(1)
        n = min(_N_BESIDE, self._n_batch - 1)
        self._context.decode(
            StepBatch(
                tokens=[_token(self._n_cells), *(_token(i + 7) for i in range(n))],
                positions=[self._n_cells, *range(n)],
                seq_ids=[0, *[1] * n],
                outputs=[0],
            )
        )
        beside = self._context.logits_digest(0)
        return beside == alone, f"beside {n} tokens of another prompt"

    def _chunks(self) -> tuple[bool, str]:
        alone = self._alone()
        for chunk in (64, 32):
            self._context.clear_sequence(0)
            self._prefill(0, self._n_cells, chunk=min(chunk, self._n_batch))
            if self._decode((0,)) != alone:
                return False, f"differs when the prompt is computed in chunks of {chunk}"
        return True, "bit-equal in chunks of 64 and 32"

    def _alone(self) -> bytes:
        for seq_id in range(self._n_seq):
            self._context.clear_sequence(seq_id)
        self._restore(0)
        return self._decode((0,))

    def _prefill(self, seq_id: int, n: int, *, chunk: int) -> None:
        first = 0
        while first < n:
            end = min(first + chunk, n)
            end = n if n - end == 1 else end  # never a lone row
            end = end if end - first <= self._n_batch else end - 2
            positions = range(first, end)
            self._context.decode(
                StepBatch(
                    tokens=[_token(p) for p in positions],
                    positions=positions,
                    seq_ids=[seq_id] * len(positions),
                    outputs=[len(positions) - 1],
                )
            )
            first = end

    def _decode(self, seq_ids: tuple[int, ...]) -> bytes:
        """Decode the next token of these sequences in one batch; the digest of the first one's logits."""
        n = len(seq_ids)
        self._context.decode(
            StepBatch(
                tokens=[_token(self._n_cells)] * n,
                positions=[self._n_cells] * n,
                seq_ids=seq_ids,
                outputs=range(n),
            )
        )
        return self._context.logits_digest(0)

    def _save(self, seq_id: int) -> memoryview:
        buffer = memoryview(bytearray(self._context.state_bytes(seq_id)))
        return buffer[: self._context.get_state(seq_id, buffer)]

    def _restore(self, seq_id: int) -> None:
        self._context.set_state(seq_id, self._saved, n_cells=self._n_cells)


def _token(position: int) -> int:
    return 3 + position * 7 % 61
