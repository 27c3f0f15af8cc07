"""What the model actor may ask of its engine loop: frozen values that could cross a process."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from actorllama.engine.turn_record import TurnRecord
from actorllama.ids import SeqId, TurnId
from actorllama.kvcache import Buffer, TierName
from actorllama.native import SamplingParams

__all__ = ["CancelTurn", "Command", "GrantCredit", "RestoredState", "StartTurn"]


@frozen(kw_only=True)
class RestoredState:
    """What an earlier turn left, to go on from."""

    kv: Buffer
    """As the context wrote it; checked before llama.cpp sees it."""
    n_cells: int
    record: TurnRecord | None = None
    """The sampler and the undecided text; ``None`` begins with its own: a new turn after the saved one."""
    tier: TierName | None = None
    """Where it was found; ``None`` if the finder does not say."""


@frozen(kw_only=True)
class StartTurn:
    """Begin a turn on a leased sequence."""

    turn_id: TurnId
    seq_id: SeqId
    prompt: tuple[int, ...]
    """Token ids, shape ``(n_prompt,)``, ``1 <= n_prompt < ctx_per_seq``."""
    sampling: SamplingParams
    max_tokens: int | None
    """Tokens to generate at most; ``None`` is until the sequence is full."""
    stop: tuple[str, ...] = ()
    keep: bool = False
    """Whether the end brings the state, so that the turn can be continued."""
    restore: RestoredState | None = None
    """The state of the first ``n_cells < n_prompt`` tokens of ``prompt``. With a record: of all but the last,
    and the sampler that chose that one."""
    credit: int | None = None
    """Tokens that may be produced before the reader grants more; ``None`` is no reader to wait for."""


@frozen(kw_only=True)
class GrantCredit:
    """The reader has consumed this many tokens."""

    turn_id: TurnId
    n_tokens: int


@frozen(kw_only=True)
class CancelTurn:
    """Stop a turn before the next step; its sequence is cleared."""

    turn_id: TurnId
    reason: str


Command: TypeAlias = StartTurn | GrantCredit | CancelTurn
