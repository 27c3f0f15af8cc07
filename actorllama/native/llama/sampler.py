"""The sampler of one turn: our stages with state around llama.cpp's own filters."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from actorllama.errors import StateError
from actorllama.native.llama.crowd_choice import MAX_CROWD_K
from actorllama.native.llama.sampler_candidates import Candidates
from actorllama.native.llama.sampler_stages import FilterChain, LateShift, Stage, XtcStage, filter_chain
from actorllama.native.llama.sampler_tools import SamplerTools
from actorllama.native.rng import uniform_at, uniform_key
from actorllama.native.sampler_dry import DryShift
from actorllama.native.sampler_pickers import AdaptivePicker, Mirostat1Picker, Mirostat2Picker, Picker
from actorllama.native.sampler_record import SamplerRecord
from actorllama.native.sampler_shifts import BiasShift, Ids, PenaltyShift, Row, Shift
from actorllama.native.sampling import SamplingParams

__all__ = ["LlamaSampler"]

_CROWD_FILTERS = frozenset({"top_k", "top_p", "min_p", "temperature"})


class LlamaSampler:
    """Choose one turn's tokens from logits rows.

    Logit bias first, then the stages of ``params.samplers`` in their order (llama.cpp's by default),
    then a draw from what is left by our own counter-based generator. What is stateless is done by
    llama.cpp; what has state (penalties, DRY, XTC, mirostat, adaptive-p) is ours, so that ``record``
    can save it and ``from_record`` go on from there with exactly the same choices.

    Temperature 0 takes the most probable token that bias, penalties and DRY leave, whatever the
    filters say. A grammar decides after the draw: what it rejects is drawn again among what it allows.

    Owner: one turn, on its context's thread.

    Cost: at 32k vocabulary with the default filters some 25 µs a token right after a step, for 8 turns at
    once, and 17 for 32 (`CrowdChooser`); all other ways are dearer.
    """

    def __init__(self, params: SamplingParams, history: Sequence[int], *, tools: SamplerTools) -> None:
        """Build the stages; ``history`` are the tokens that penalties and DRY start from."""
        self._params = params
        self._tools = tools
        self._candidates: Candidates = tools.candidates
        self.n_draws = 0
        """Random numbers drawn so far to choose a token."""
        self.crowd_key = uniform_key(params.seed)
        self.crowd_k = self.crowd_chain = 0
        self.bound, self.slack = math.inf, 0.0
        self._is_open = True
        window = _window(params)
        self._recent: deque[int] | None = None
        if window is not None:
            self._recent = deque(history[-window:] if window else history, maxlen=window or None)
        self._shifts: list[Shift] = [BiasShift(params.logit_bias)] if params.logit_bias else []
        self._remembering: list[Shift] = []
        self._stages: list[Stage] = []
        self._xtc: XtcStage | None = None
        self._n_best = 0  # how many of the best tokens the first stage can keep; 0 is all
        if not params.mirostat:
            self._build_stages()
        elif not params.is_greedy:
            self._add_filters(["temperature"])
        self._picker = _make_picker(params, n_vocab=tools.n_vocab)
        self._grammar = tools.grammar_turn(params.constraint)
        self._is_stuck = False
        is_stateful = self._picker is not None or self._grammar is not None
        self._is_plain = not self._shifts and not self._remembering and not is_stateful
        if self._is_plain and len(self._stages) == 1:
            self._join_crowd(self._stages[0])

    @classmethod
    def from_record(cls, record: SamplerRecord, *, tools: SamplerTools) -> LlamaSampler:
        """Make a sampler that goes on where the recorded one stood.

        Raises:
            StateError: The record is of another vocabulary, or holds what no sampler can have.
        """
        record = record.checked(n_vocab=tools.n_vocab)
        sampler = cls(record.params, record.recent, tools=tools)
        try:
            sampler._load(record)
        except BaseException:
            sampler.close()
            raise
        return sampler

    @property
    def is_stuck(self) -> bool:
        """Whether the vocabulary could not spell what the grammar wants, and an end token was given."""
        return self._is_stuck

    def record(self) -> SamplerRecord:
        """Return everything that decides the next token beside its logits."""
        return SamplerRecord(
            params=self._params,
            n_vocab=self._tools.n_vocab,
            n_draws=self.n_draws,
            n_xtc_draws=self._xtc.n_draws if self._xtc else 0,
            learned=self._picker.state if self._picker else (),
            recent=tuple(self._recent or ()),
            generated=tuple(self._grammar.generated) if self._grammar else (),
        )

    def accept(self, token: int) -> None:
        """Tell the stages with a memory that this token is part of the text.

        Raises:
            StateError: The grammar does not allow it.
        """
        if self._grammar is not None:
            self._grammar.accept(token)
        if self._recent is not None:
            self._recent.append(token)
            for shift in self._remembering:
                shift.remember(token)

    def choose(self, row: Row) -> int:
        """Choose a token from one logits row, shape ``(n_vocab,)``, and accept it.

        The row is changed where bias, penalties and DRY apply, and put back before returning.

        Raises:
            StateError: The sampler is closed.
        """
        if self.crowd_k:
            return self._tools.crowd.choose(row.reshape(1, -1), [self])[0]
        if not self._is_open:
            raise StateError(operation="choose", reason="the sampler is closed")
        if self._is_plain:
            return self.choose_alone(row)
        token, observed = self._select_shifted(row, None)
        if self._grammar is not None and not self._grammar.allows(token):
            # Most choices fit, and one token is tried in no time: so choose first, and only if the
            # grammar rejects it look at all tokens and choose again, with the next numbers. As in
            # llama.cpp's common/sampling.cpp.
            token, observed = self._select_shifted(row, self._grammar.allowed())
        if self._picker is not None:
            self._picker.learn(observed)
        self.accept(token)
        return token

    def choose_alone(self, row: Row) -> int:
        """Choose from a row of which nothing is known, without anything that remembers."""
        return self._select(row, None)[0]

    def close(self) -> None:
        """Free what is native; safe to call again."""
        self._is_open = False
        self.crowd_k = 0
        for stage in self._stages:
            stage.close()

    def _load(self, record: SamplerRecord) -> None:
        """Take over what the record adds to parameters and recent tokens."""
        self.n_draws = record.n_draws
        if self._xtc is not None:
            self._xtc.n_draws = record.n_xtc_draws
        if self._picker is not None:
            self._picker.load(record.learned)
        if self._grammar is not None:
            for token in record.generated:
                self._grammar.accept(token)

    def _build_stages(self) -> None:
        """Fill shifts and stages; what stands before the first filter works on the row itself."""
        shifts = self._make_shifts()
        filters: list[str] = []
        for name in self._params.samplers:
            if self._params.is_greedy and name not in shifts:
                continue
            if name in shifts or (name == "xtc" and self._params.has_xtc):
                self._add_filters(filters)
                filters = []
                self._add_own(name, shifts)
            else:
                filters.append(name)
                if name == "top_n_sigma" and self._params.typical_p < 1.0:
                    # llama.cpp's typical filter takes what sigma forbade into its entropy, which is NaN then.
                    self._add_filters(filters)
                    filters = []
        self._add_filters(filters)

    def _make_shifts(self) -> dict[str, Shift]:
        params, history = self._params, self._recent or ()
        shifts: dict[str, Shift] = {}
        if params.has_penalties:
            n = params.penalty_last_n
            shifts["penalties"] = PenaltyShift(
                repeat=params.repeat_penalty,
                frequency=params.frequency_penalty,
                presence=params.presence_penalty,
                last_n=n,
                history=history,
            )
        if params.has_dry:
            shifts["dry"] = DryShift(
                multiplier=params.dry_multiplier,
                base=params.dry_base,
                allowed_length=params.dry_allowed_length,
                last_n=params.dry_penalty_last_n,
                breakers=self._tools.breakers(params.dry_sequence_breakers),
                history=history,
            )
        return shifts

    def _add_own(self, name: str, shifts: dict[str, Shift]) -> None:
        if name == "xtc":
            self._xtc = XtcStage(self._params)
            self._stages.append(self._xtc)
            return
        shift = shifts[name]
        self._remembering.append(shift)
        if self._stages and not self._params.is_greedy:
            self._stages.append(LateShift(shift, n_vocab=self._tools.n_vocab))
        else:
            self._shifts.append(shift)

    def _join_crowd(self, stage: Stage) -> None:
        # What most requests ask for, and so what has to be quick.
        if (
            not isinstance(stage, FilterChain)
            or stage.may_forbid
            or not _CROWD_FILTERS.issuperset(stage.names)
        ):
            return
        if stage.names[0] == "top_k" and self._n_best <= min(MAX_CROWD_K, self._tools.n_vocab - 1):
            self.crowd_k, self.crowd_chain = self._n_best, stage.address

    def _add_filters(self, names: list[str]) -> None:
        chain = filter_chain(self._params, names)
        if chain is None:
            return
        if not self._stages and chain.names[0] == "top_k":
            self._n_best = self._params.top_k
        self._stages.append(chain)

    def _select_shifted(self, row: Row, ids: Ids | None) -> tuple[int, float]:
        """Choose with bias, penalties and DRY on the row, and put the row back."""
        touched = [shift.touched() for shift in self._shifts]
        before = [row[at] for at in touched]
        try:
            for shift, at in zip(self._shifts, touched, strict=True):
                shift.shift(row, at)
            return self._select(row, ids)
        finally:
            for at, was in zip(touched, before, strict=True):
                row[at] = was

    def _select(self, row: Row, ids: Ids | None) -> tuple[int, float]:
        """Choose among all tokens, or among ``ids``; also return what the picker wants to learn."""
        if ids is not None:
            ids = ids[row[ids] > -np.inf]
            if not len(ids):
                return self._give_up(), 0.0
        if self._params.is_greedy:
            return int(row.argmax()) if ids is None else int(ids[row[ids].argmax()]), 0.0
        candidates = self._candidates
        if ids is not None:
            candidates.fill(row, ids)
        elif self._n_best:
            candidates.fill_best(row, self._n_best)
        else:
            candidates.fill_all(row)
        for stage in self._stages:
            stage.apply(candidates)
        u = uniform_at(self.crowd_key, self.n_draws)
        self.n_draws += 1
        if self._picker is None:
            return candidates.drawn(u), 0.0
        index, observed = self._picker.pick(candidates.logits.astype(np.float64), u)
        return int(candidates.ids[index]), observed

    def _give_up(self) -> int:
        """Return a token that ends the turn: the grammar leaves nothing that the vocabulary can say."""
        self._is_stuck = True
        if not self._tools.texts.ends:
            raise StateError(
                operation="choose", reason="the grammar allows no token and no token ends the turn"
            )
        return min(self._tools.texts.ends)


def _window(params: SamplingParams) -> int | None:
    """Return how many recent tokens the stages need; 0 is all of them, ``None`` no stage looks."""
    windows: list[int] = []
    if params.has_penalties:
        windows.append(params.penalty_last_n)
    if params.has_dry:
        windows.append(params.dry_penalty_last_n)
    if not windows:
        return None
    return 0 if min(windows) < 0 else max(windows)


def _make_picker(params: SamplingParams, *, n_vocab: int) -> Picker | None:
    if params.is_greedy:
        return None
    tau, eta = params.mirostat_tau, params.mirostat_eta
    if params.mirostat == 1:
        return Mirostat1Picker(tau=tau, eta=eta, n_vocab=n_vocab)
    if params.mirostat == 2:
        return Mirostat2Picker(tau=tau, eta=eta)
    if params.adaptive_target >= 0:
        return AdaptivePicker(target=params.adaptive_target, decay=params.adaptive_decay)
    return None
