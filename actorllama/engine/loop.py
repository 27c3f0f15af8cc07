"""The engine loop of one context: commands in, steps, reports out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter

from attrs import evolve

from actorllama.engine.batch import build_batch
from actorllama.engine.cells import SequenceCells
from actorllama.engine.commands import CancelTurn, CaptureCells, Command, GrantCredit, StartTurn
from actorllama.engine.lending import RowLender
from actorllama.engine.live_turn import LiveTurn
from actorllama.engine.plan import PrefillView, StepPlan, StepRules, plan_step, room_after
from actorllama.engine.plan_parts import PlanParts
from actorllama.engine.reports import (
    CapturedCells,
    FinishReason,
    LoopStatistics,
    Piece,
    StepReport,
    TokenLogprob,
    TurnEnd,
)
from actorllama.engine.step_probe import StepProbe, no_probe
from actorllama.engine.text import TextAssembler
from actorllama.engine.turn_record import TurnRecord
from actorllama.engine.turn_text import TurnText
from actorllama.errors import DecodeError
from actorllama.native import InferenceContext, NativeSampler, Vocabulary

__all__ = ["EngineLoop"]

_N_READERS, _MAX_READERS = 3, 9
"""Up to so many turns a report may come after the interval; with more, in proportion, up to so many."""


class EngineLoop:
    """Continuous batching over the sequences of one context.

    Knows no thread, no queue and no event loop: ``apply`` and ``step`` are called by whoever owns
    it, so tests drive it directly and it could live in another process.

    Owner: the engine host's thread. ``post`` gets a report whenever a step brought something that
    somebody waits for.
    """

    def __init__(
        self,
        *,
        context: InferenceContext,
        vocabulary: Vocabulary,
        post: Callable[[StepReport], None],
        n_mixed: int,
        n_together: int,
        pads_lone_rows: bool = False,
        post_interval_s: float = 0.0,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Run turns on ``context``.

        Args:
            context: What computes; this loop is its only user.
            vocabulary: The model's.
            post: Gets the reports.
            n_mixed: Prompt tokens at most that decoding turns wait for.
            n_together: Prompt tokens from which on another prompt gets a call of its own (plan.py).
            pads_lone_rows: Compute no row without another one beside it, and so leave one cell of each
                sequence free: what weights of F32, F16 and BF16 need to be exact (plan.py). For plain
                attention only: other memories do not forget a lent row exactly.
            post_interval_s: Text that comes within this time of a report waits for the next one; with more
                than 3 turns longer, three times with 9: a report costs 200 µs and 40 for each of them, here
                and on the event loop, and what that takes of two cores llama.cpp does not have.
            clock: Measures that time.
        """
        self._context = context
        self._vocabulary = vocabulary
        self._post = post
        self._pads_lone_rows = pads_lone_rows
        self._post_interval_s = post_interval_s
        self._clock = clock
        self._posted_at_s = -math.inf
        self._begun: list[LiveTurn] = []  # with a first token that was not told yet
        facts = context.facts
        self._n_cells = facts.ctx_per_seq - pads_lone_rows
        self._lender = RowLender(context, n_cells=self._n_cells)
        self._rules = StepRules(
            n_batch=facts.n_batch,
            n_ubatch=facts.n_ubatch,
            n_mixed=n_mixed,
            mixes=facts.layout == "shared" and not pads_lone_rows,
            n_together=n_together,
        )
        self._parts = PlanParts(self._rules)
        self._n_room = 0
        self._live: dict[int, LiveTurn] = {}
        self._by_seq: dict[int, LiveTurn] = {}
        self._pieces: list[Piece] = []  # of turns that have ended
        self._has_text = False
        self._ended: list[TurnEnd] = []
        self._captured: list[CapturedCells] = []
        self.cells = SequenceCells(context)
        """Of the context; what other threads may ask of them says so."""
        self._n_steps = self._n_prefilled = self._n_decoded = 0
        self._decode_s = self._prefill_s = self._sample_s = 0.0
        self._probe: StepProbe = no_probe

    @property
    def is_runnable(self) -> bool:
        """Whether a step would compute something."""
        return any(
            turn.credit is None or turn.credit > 0 or turn.n_prompt_left > 0 for turn in self._live.values()
        )

    def probe_with(self, probe: StepProbe) -> None:
        """Tell ``probe`` from now on where each step is."""
        self._probe = probe

    def statistics(self) -> LoopStatistics:
        """Return what was done so far."""
        return LoopStatistics(
            n_steps=self._n_steps,
            n_prefilled=self._n_prefilled,
            n_decoded=self._n_decoded,
            n_live=len(self._live),
            decode_s=self._decode_s,
            prefill_s=self._prefill_s,
            sample_s=self._sample_s,
        )

    def apply(self, command: Command) -> None:
        """Take one command; those about a turn that has ended are too late and change nothing."""
        match command:
            case StartTurn():
                self._start(command)
            case GrantCredit():
                for turn_id, n_tokens in command.grants:
                    turn = self._live.get(turn_id)
                    if turn is not None and turn.credit is not None:
                        turn.credit += n_tokens
            case CancelTurn():
                turn = self._live.get(command.turn_id)
                if turn is not None:
                    self._end(turn, "cancelled", cancel_reason=command.reason)
                    self._flush()
            case CaptureCells():
                self._capture_at(command)

    def step(self) -> None:
        """Compute one batch, choose tokens, and post what it brought.

        Raises:
            DecodeError: The context is in doubt; the owner must drop it.
        """
        probe = self._probe
        probe("plan")
        plan = self._plan()
        n_tokens = plan.n_tokens
        if n_tokens == 0:
            return
        lent = self._lender.lend(plan) if self._pads_lone_rows else ()
        batch, rows = build_batch(plan, self._by_seq, lent=lent, has_twin_outputs=self._pads_lone_rows)
        probe("decode")
        began = perf_counter()
        try:
            self._context.decode(batch)
        except DecodeError as exc:
            if not exc.is_retryable:
                raise
            self._shed(plan, exc)
            return
        decoded = perf_counter()
        probe("turns")
        self._n_steps += 1
        self._decode_s += decoded - began
        if plan.prefill:
            self._prefill_s += (decoded - began) * (1 - len(plan.decode) / n_tokens)
        self._lender.take_back(lent)
        self._advance(plan, rows, decoded)
        self._sample_s += perf_counter() - decoded
        probe("post")
        self._flush()
        probe("between")

    def close(self) -> None:
        """Free the samplers of whatever still runs; nothing is posted."""
        for turn in self._live.values():
            turn.sampler.close()
        self._live.clear()
        self._by_seq.clear()

    def _start(self, command: StartTurn) -> None:
        begun = self.cells.begin(command)
        record = command.record
        tokens: list[int] = []
        assembler = TextAssembler(
            command.stop,
            held="" if record is None else record.held,
            undecoded=b"" if record is None else record.undecoded,
        )
        turn = LiveTurn(
            command=command,
            sampler=self._sampler(command, record),
            text=TurnText(assembler, tokens, self._vocabulary.piece),
            started_at_s=perf_counter(),
            n_past=begun.n_cells,
            begun=begun,
            capture_at=[],
            tokens=tokens,
            logprobs=[],
            credit=command.credit,
            n_most=self._n_most(command),
        )
        self._live[command.turn_id] = turn
        self._by_seq[command.seq_id] = turn

    def _capture_at(self, command: CaptureCells) -> None:
        """Note a copy that is wanted; say at once if its moment has passed, or would leave a single row."""
        turn = self._live.get(command.turn_id)
        n_cells = command.n_cells
        if turn is not None and turn.can_capture(n_cells):
            self._parts.forget(turn.command.seq_id)  # what waits of it may go beyond
            turn.capture_at = sorted({*turn.capture_at, n_cells})
            return
        captured = CapturedCells(turn_id=command.turn_id, n_cells=n_cells, kv=None)
        if turn is not None and command.or_more and turn.n_past >= n_cells - 1:
            tokens = (*turn.command.prompt, *turn.tokens)[: turn.n_past]
            kv, n_restored = self.cells.capture(turn.command.seq_id), turn.begun.n_cells
            captured = evolve(captured, kv=kv, tokens=tokens, n_restored=n_restored)
        self._captured.append(captured)
        self._flush()

    def _sampler(self, command: StartTurn, record: TurnRecord | None) -> NativeSampler:
        if record is not None:
            return self._context.restore_sampler(record.sampler)
        return self._context.new_sampler(command.sampling, command.prompt)

    def _n_most(self, command: StartTurn) -> int:
        """Return how many tokens a turn can have: of each but the last the sequence holds a cell."""
        n_fitting = max(self._n_cells - len(command.prompt) + 1, 1)
        return n_fitting if command.max_tokens is None else min(command.max_tokens, n_fitting)

    def _plan(self) -> StepPlan:
        single: list[int] = []
        prefilling: list[PrefillView] = []
        for turn in self._live.values():
            n_left = turn.n_prompt_left
            if n_left > 1:
                prefilling.append(PrefillView(turn.command.seq_id, turn.n_chunk_left))
            elif n_left == 1 or turn.credit is None or turn.credit > 0:
                single.append(turn.command.seq_id)
        single.sort()
        if not prefilling and not self._parts.is_waiting:  # most steps: every microsecond counts
            self._n_room = self._rules.n_waited
            return StepPlan(single, ())
        plan = self._parts.next_part(n_most=self._n_room if single else None)
        if plan is None:
            whole = plan_step(single, prefilling, self._rules, n_room=self._n_room)
            plan = self._parts.begin(whole, prefilling)
        self._n_room = room_after(plan, single, self._rules, n_room=self._n_room)
        return plan

    def _advance(self, plan: StepPlan, rows: Sequence[int], now_s: float) -> None:
        """Choose a token for every sequence whose row has logits, and end what is finished."""
        choosing = [self._by_seq[seq_id] for seq_id in plan.decode]
        for turn in choosing:
            turn.n_past += 1
            turn.n_steps += 1
            if turn.tokens:
                self._n_decoded += 1
            else:  # the last token of its prompt
                turn.n_prefilled += 1
                self._n_prefilled += 1
                self._note_first(turn, now_s)
        for chunk in plan.prefill:
            turn = self._by_seq[chunk.seq_id]
            turn.n_past += chunk.n_tokens
            turn.n_steps += 1
            turn.n_prefilled += chunk.n_tokens
            self._n_prefilled += chunk.n_tokens
            if turn.capture_at and turn.n_past == turn.capture_at[0]:
                self._copy_prefix(turn)
            if turn.n_prompt_left == 0:
                self._note_first(turn, now_s)
                choosing.append(turn)
        if not choosing:
            return
        self._probe("choose")
        chosen = self._context.sample([turn.sampler for turn in choosing], rows)
        self._probe("turns")
        for row, turn, token in zip(rows, choosing, chosen, strict=True):
            n_top = turn.command.sampling.logprobs
            if n_top is not None:
                logprob, top = self._context.logprobs(row, token, n_top)
                turn.logprobs.append(TokenLogprob(token=token, logprob=logprob, top=top))
            self._take(turn, token)

    def _note_first(self, turn: LiveTurn, now_s: float) -> None:
        turn.first_token_at_s = now_s
        if turn.credit is not None:
            self._begun.append(turn)

    def _take(self, turn: LiveTurn, token: int) -> None:
        turn.tokens.append(token)
        if turn.credit is not None:
            turn.credit -= 1
            self._has_text = True
        if self._vocabulary.is_end(token):
            turn.text.leave_out_last()
            self._end(turn, "end")
            return
        if turn.text.has_stops or len(turn.tokens) >= turn.n_most:
            reason = turn.finish_reason()
            if reason is not None:
                self._end(turn, reason)

    def _end(
        self,
        turn: LiveTurn,
        reason: FinishReason,
        *,
        error: DecodeError | None = None,
        cancel_reason: str = "",
    ) -> None:
        del self._live[turn.command.turn_id]
        del self._by_seq[turn.command.seq_id]
        self._parts.forget(turn.command.seq_id)
        for n_cells in turn.capture_at:
            self._captured.append(CapturedCells(turn_id=turn.command.turn_id, n_cells=n_cells, kv=None))
        kv = None
        if error is None and turn.wants_cells(reason):
            began_s = perf_counter()
            kv = self.cells.capture(turn.command.seq_id)
            turn.save_s = perf_counter() - began_s
        if error is not None:
            self._context.clear_sequence(turn.command.seq_id)
        end = turn.end(
            reason,
            now_s=perf_counter(),
            error=error,
            cancel_reason=cancel_reason,
            kv=kv,
            n_cells=0 if error is not None else turn.n_past,
        )
        turn.tell(self._pieces)
        self._ended.append(end)

    def _copy_prefix(self, turn: LiveTurn) -> None:
        """Copy the cells that somebody waits for, as soon as they are exactly those."""
        turn.capture_at.pop(0)
        kv = self.cells.capture(turn.command.seq_id)
        self._captured.append(
            CapturedCells(
                turn_id=turn.command.turn_id,
                n_cells=turn.n_past,
                n_restored=turn.begun.n_cells,
                kv=kv,
            )
        )

    def _shed(self, plan: StepPlan, error: DecodeError) -> None:
        # llama.cpp found no cells and put its memory back as it was. With the layouts that we open
        # every sequence has its cells, so this is rare (fragmented shared layout): give up the
        # youngest turn of the batch, so that the others go on, and tell its caller.
        seq_ids = {*plan.decode, *(chunk.seq_id for chunk in plan.prefill)}
        youngest = [turn for turn in self._live.values() if turn.command.seq_id in seq_ids][-1]
        self._end(youngest, "error", error=error)
        self._flush()

    def _flush(self) -> None:
        """Post what cannot wait: ends, first tokens, text before a pause; and all text once it is time.

        What cannot wait takes no text of other turns along: each piece of text wakes a reader.
        """
        is_due = False
        if self._has_text:
            n_readers = min(max(len(self._live), _N_READERS), _MAX_READERS)
            now_s = self._clock()
            waited = (now_s - self._posted_at_s) * _N_READERS / n_readers
            if is_due := waited >= self._post_interval_s or not self.is_runnable:
                self._posted_at_s = now_s
                self._has_text = False
        if not (is_due or self._begun or self._ended or self._captured):
            return
        for turn in self._live.values() if is_due else self._begun:
            turn.tell(self._pieces)
        self._begun.clear()
        report = StepReport(
            pieces=tuple(self._pieces),
            ended=tuple(self._ended),
            captured=tuple(self._captured),
            statistics=self.statistics(),
        )
        self._pieces, self._ended, self._captured = [], [], []
        self._post(report)
