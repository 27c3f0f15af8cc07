"""What an engine loop tells its model actor: frozen values, one report for all that came."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from attrs import frozen

from actorllama.engine.commands import PrefixSource
from actorllama.errors import EngineError
from actorllama.ids import SeqId, TurnId
from actorllama.kvcache import Buffer

__all__ = [
    "KEEPABLE",
    "CapturedCells",
    "FinishReason",
    "KeptState",
    "LoopFailed",
    "LoopStatistics",
    "Piece",
    "Report",
    "StepReport",
    "TokenLogprob",
    "TurnEnd",
]

FinishReason: TypeAlias = Literal["end", "stop", "length", "context", "cancelled", "error"]
"""Why a turn ended: an end-of-generation token, a stop string, ``max_tokens``, a full sequence, a
cancellation, or an error."""


class Piece(NamedTuple):
    """What came for one turn since the last report. A tuple, not an attrs value: there are many."""

    turn_id: TurnId
    text: str
    """Text that became safe to show; empty if the tokens brought none."""
    n_tokens: int
    """Tokens that were chosen since then, one or more; none if the end of the turn set free held text."""


KEEPABLE: frozenset[FinishReason] = frozenset({"end", "stop", "length", "context"})
"""Ends after which the turn's state is whole."""


@frozen(kw_only=True)
class KeptState:
    """The state at a turn boundary: KV of all tokens but the pending one, and the turn's own record."""

    kv: Buffer
    record: bytes | None
    """``None`` if only the cells were wanted."""


@frozen(kw_only=True)
class CapturedCells:
    """The copy that `CaptureCells` asked for."""

    turn_id: TurnId
    n_cells: int
    n_restored: int = 0
    """Cells that the turn itself had not computed."""
    kv: Buffer | None
    """``None`` if the turn was past that point already, or has ended before it."""
    tokens: tuple[int, ...] = ()
    """Of all cells that ``kv`` has, if the turn was there or past it, and that was welcome."""


@frozen(kw_only=True)
class TokenLogprob:
    """How probable the model itself found a token, before any sampler."""

    token: int
    logprob: float
    """Natural logarithm."""
    top: tuple[tuple[int, float], ...]
    """The most probable tokens with theirs, best first."""


@frozen(kw_only=True)
class TurnEnd:
    """A turn's whole outcome; nothing more comes about it."""

    turn_id: TurnId
    seq_id: SeqId
    finish_reason: FinishReason
    stop: str | None
    text: str
    tokens: tuple[int, ...]
    n_prompt: int
    n_draws: int
    n_steps: int
    started_at_s: float
    first_token_at_s: float | None
    ended_at_s: float
    error: EngineError | None = None
    cancel_reason: str = ""
    n_cells: int = 0
    """Cells that the sequence holds now: of the first tokens of prompt and reply."""
    n_restored: int = 0
    """Prompt tokens whose cells were there and not computed."""
    n_prefilled: int = 0
    """Prompt tokens that were computed."""
    source: PrefixSource | None = None
    """Where they came from."""
    restore_s: float = 0.0
    """Seconds until they were; before ``started_at_s``."""
    save_s: float = 0.0
    """Seconds for copying the state at the end; before ``ended_at_s``."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    kept: KeptState | None = None


@frozen(kw_only=True)
class LoopStatistics:
    """What a loop has done since it started."""

    n_steps: int
    n_prefilled: int
    n_decoded: int
    n_live: int
    decode_s: float
    """Seconds inside ``llama_decode``."""
    prefill_s: float
    """Of these, the share of prompt tokens."""
    sample_s: float
    """Seconds choosing tokens and assembling text."""


@frozen(kw_only=True)
class StepReport:
    """What the steps since the last report brought."""

    pieces: tuple[Piece, ...]
    """One at most of each turn."""
    ended: tuple[TurnEnd, ...]
    captured: tuple[CapturedCells, ...] = ()
    statistics: LoopStatistics


@frozen(kw_only=True)
class LoopFailed:
    """The loop met an error that leaves the context in doubt; it takes no more steps."""

    error: Exception


Report: TypeAlias = StepReport | LoopFailed
