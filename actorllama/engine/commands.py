"""What the model actor may ask of its engine loop: frozen values that could cross a process."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from actorllama.engine.turn_record import TurnRecord
from actorllama.ids import SeqId, TurnId
from actorllama.kvcache import Buffer
from actorllama.native import SamplingParams

__all__ = [
    "CancelTurn",
    "CaptureCells",
    "Command",
    "GrantCredit",
    "PrefixSource",
    "RestoredState",
    "StartTurn",
]


PrefixSource: TypeAlias = Literal["live", "turn", "ram", "disk"]
"""Where the cells that a turn did not compute came from: its sequence held them already; a turn that ran
beside it computed them; a tier of the cache had them."""


@frozen(kw_only=True)
class RestoredState:
    """Cells that were computed before, to go on from."""

    kv: Buffer
    """As the context wrote it; checked before llama.cpp sees it."""
    n_cells: int
    source: PrefixSource


@frozen(kw_only=True)
class StartTurn:
    """Begin a turn on a leased sequence."""

    turn_id: TurnId
    seq_id: SeqId
    prompt: tuple[int, ...]
    """Token ids, shape ``(n_prompt,)``, ``1 <= n_prompt <= ctx_per_seq``."""
    sampling: SamplingParams
    max_tokens: int | None
    """Tokens to generate at most; ``None`` is until the sequence is full."""
    stop: tuple[str, ...] = ()
    record: TurnRecord | None = None
    """Sampler and undecided text of the turn that chose ``prompt``'s last token; ``None`` begins anew."""
    n_live: int = 0
    """Cells that the sequence holds and that are the first of ``prompt``, fewer than it has tokens."""
    restore: RestoredState | None = None
    """Used where the live cells are none, or cannot be kept."""
    keep: bool = False
    """Whether the end brings the cells and the record, so that the turn can be continued."""
    save_from: int | None = None
    """A turn that ends with so many cells or more brings them, kept or not; ``None`` is never."""
    credit: int | None = None
    """Tokens that may be produced before the reader grants more; ``None`` is no reader to wait for."""


@frozen(kw_only=True)
class GrantCredit:
    """Readers have consumed tokens."""

    grants: tuple[tuple[TurnId, int], ...]
    """Of which turns, and how many of each."""


@frozen(kw_only=True)
class CancelTurn:
    """Stop a turn before the next step; its sequence is free, and holds what was computed."""

    turn_id: TurnId
    reason: str


@frozen(kw_only=True)
class CaptureCells:
    """Copy a turn's cells when it has computed exactly the first ``n_cells`` tokens of its prompt."""

    turn_id: TurnId
    n_cells: int
    or_more: bool = False
    """Whether all that a turn has is welcome if it is past that point, or a token before it."""


Command: TypeAlias = StartTurn | GrantCredit | CancelTurn | CaptureCells
