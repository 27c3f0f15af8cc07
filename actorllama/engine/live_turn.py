"""What an engine loop remembers about a turn that is running."""

from __future__ import annotations

from attrs import define

from actorllama.engine.cells import BegunCells
from actorllama.engine.commands import StartTurn
from actorllama.engine.reports import KEEPABLE, FinishReason, KeptState, Piece, TokenLogprob, TurnEnd
from actorllama.engine.turn_record import TurnRecord
from actorllama.engine.turn_text import TurnText
from actorllama.errors import EngineError
from actorllama.kvcache import Buffer
from actorllama.native import NativeSampler

__all__ = ["LiveTurn"]


@define(kw_only=True, eq=False)
class LiveTurn:
    """A running turn. Owner: its engine loop; never leaves the host thread."""

    command: StartTurn
    sampler: NativeSampler
    text: TurnText
    started_at_s: float
    n_past: int = 0
    """Cells of the sequence that are computed."""
    tokens: list[int]
    """Generated so far; the last one is pending: chosen, not computed yet."""
    credit: int | None
    n_most: int
    """With so many tokens it ends, because no more are wanted or its sequence is full."""
    n_steps: int = 0
    n_prefilled: int = 0
    """Prompt tokens computed; those that were there already are not among them."""
    first_token_at_s: float | None = None
    begun: BegunCells
    capture_at: list[int]
    """Numbers of cells at which copies are wanted, ascending, all still to come."""
    save_s: float = 0.0
    logprobs: list[TokenLogprob]

    @property
    def n_prompt_left(self) -> int:
        """Tokens of the prompt that are not computed yet; 0 and less once tokens of the reply are chosen."""
        return len(self.command.prompt) - self.n_past

    @property
    def n_chunk_left(self) -> int:
        """Tokens of the prompt that may be computed in one go: to the next copy, or to its end."""
        return (self.capture_at[0] if self.capture_at else len(self.command.prompt)) - self.n_past

    def finish_reason(self) -> FinishReason | None:
        """Say why the last token was the last one, if it was and did not say so itself."""
        if self.text.has_stopped():
            return "stop"
        if len(self.tokens) < self.n_most:
            return None
        # The pending token would need a cell that the sequence does not have.
        return "length" if self.n_most == self.command.max_tokens else "context"

    def can_capture(self, n_cells: int) -> bool:
        """Tell whether the prompt can be cut there: it comes to it, and no single token is left over."""
        cuts = (self.n_past, *self.capture_at, len(self.command.prompt))
        return n_cells in self.capture_at or (
            self.n_past < n_cells and all(abs(n_cells - cut) > 1 for cut in cuts)
        )

    def wants_cells(self, reason: FinishReason) -> bool:
        """Tell whether the cells are to be copied if the turn ends like this."""
        if self.command.keep and reason in KEEPABLE:
            return True
        return self.command.save_from is not None and self.n_past >= self.command.save_from

    def tell(self, pieces: list[Piece]) -> None:
        """Put what came since the last time behind the other pieces, if somebody reads this turn."""
        if self.command.credit is not None:
            piece = self.text.told(self.command.turn_id)
            if piece is not None:
                pieces.append(piece)

    def end(
        self,
        reason: FinishReason,
        *,
        now_s: float,
        error: EngineError | None = None,
        cancel_reason: str = "",
        kv: Buffer | None = None,
        n_cells: int,
    ) -> TurnEnd:
        """Describe the outcome and free the sampler."""
        self.text.finish()
        n_draws = self.sampler.n_draws
        kept = None
        if kv is not None:
            kept = KeptState(kv=kv, record=self._record() if self.command.keep else None)
        self.sampler.close()
        return TurnEnd(
            turn_id=self.command.turn_id,
            seq_id=self.command.seq_id,
            finish_reason=reason,
            stop=self.text.stop,
            text=self.text.text,
            tokens=tuple(self.tokens),
            n_prompt=len(self.command.prompt),
            n_draws=n_draws,
            n_steps=self.n_steps,
            started_at_s=self.started_at_s,
            first_token_at_s=self.first_token_at_s,
            ended_at_s=now_s,
            error=error,
            cancel_reason=cancel_reason,
            n_cells=n_cells,
            n_restored=self.begun.n_cells,
            n_prefilled=self.n_prefilled,
            source=self.begun.source,
            restore_s=self.begun.restore_s,
            save_s=self.save_s,
            logprobs=None if self.command.sampling.logprobs is None else tuple(self.logprobs),
            kept=kept,
        )

    def _record(self) -> bytes:
        held, undecoded = self.text.tail
        record = TurnRecord(
            sampler=self.sampler.record(), stop=self.command.stop, held=held, undecoded=undecoded
        )
        return record.to_bytes()
