"""Which tokens of a vocabulary a grammar allows next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from actorllama.native.grammar_machine import GrammarMachine, Stacks
from actorllama.native.sampler_shifts import Ids

__all__ = ["GrammarMask", "TokenTexts"]

_MAX_STATES = 4096
_MAX_MASKS = 128
_UNKNOWN, _DEAD = -1, 0


class TokenTexts:
    """The bytes of every token, laid end to end.

    Tokens that end a generation, and control tokens (whose text is no text), have none here.
    """

    def __init__(self, pieces: Sequence[bytes], ends: Iterable[int]) -> None:
        """Take the bytes of each token in order, and the tokens that end a generation."""
        self.ends = frozenset(ends)
        self.pieces = [b"" if token in self.ends else piece for token, piece in enumerate(pieces)]
        lengths = np.fromiter(map(len, self.pieces), dtype=np.int64, count=len(self.pieces))
        self.bytes = np.frombuffer(b"".join(self.pieces), dtype=np.uint8)
        self.stops: Ids = lengths.cumsum()
        self.begins: Ids = self.stops - lengths
        self.spoken: Ids = lengths.nonzero()[0]
        """The tokens that have text."""


class GrammarMask:
    """Try all tokens of a vocabulary at once, a byte of each at a time.

    The states met are numbered, and a table over numbers and byte classes lets numpy advance all
    tokens together; only steps never taken before are asked of the machine.

    Owner: one context's samplers, one after the other.

    Cost: about 1 ms at 32k vocabulary where every text is allowed, 0.1 ms where few are, then kept.
    """

    def __init__(self, machine: GrammarMachine, texts: TokenTexts) -> None:
        """Serve one grammar and one vocabulary."""
        self.machine = machine
        self.texts = texts
        classes = np.frombuffer(machine.byte_class, dtype=np.uint8)
        self._classes = classes[texts.bytes]
        self._masks: dict[int, np.ndarray[tuple[int], np.dtype[np.bool_]]] = {}
        self._table: np.ndarray[tuple[int, int], np.dtype[np.int32]]
        self._states: list[Stacks]
        self._begin_table()

    def allowed(self, state: Stacks) -> Ids:
        """Return the tokens that may follow, ascending; none if the vocabulary cannot go on."""
        mask = self._masks.get(state.serial)
        if mask is None:
            if len(self._masks) >= _MAX_MASKS:
                self._masks.pop(next(iter(self._masks)))
            mask = self._masks[state.serial] = self._compute(state)
        return mask.nonzero()[0]

    def _compute(self, state: Stacks) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        mask = self._by_bytes(state)
        ends = list(self.texts.ends)
        for _, symbol in self.machine.token_places(state):
            if symbol.is_negated:
                was = mask[symbol.token] if symbol.token < len(mask) else False
                mask[:] = True
                if symbol.token < len(mask):
                    mask[symbol.token] = was
            elif symbol.token < len(mask):
                mask[symbol.token] = True
        mask[ends] = state.accepts
        return mask

    def _by_bytes(self, state: Stacks) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        if len(self._states) > _MAX_STATES:
            self._begin_table()
        texts = self.texts
        mask = np.zeros(len(texts.pieces), dtype=np.bool_)
        tokens, at = texts.spoken, texts.begins[texts.spoken]
        numbers = np.full(len(tokens), self._number(state), dtype=np.int32)
        while len(tokens):
            numbers = self._advance(numbers, self._classes[at])
            alive = numbers != _DEAD
            tokens, at, numbers = tokens[alive], at[alive] + 1, numbers[alive]
            is_over = at == texts.stops[tokens]
            mask[tokens[is_over]] = True
            goes_on = ~is_over
            tokens, at, numbers = tokens[goes_on], at[goes_on], numbers[goes_on]
        return mask

    def _advance(
        self,
        numbers: np.ndarray[tuple[int], np.dtype[np.int32]],
        classes: np.ndarray[tuple[int], np.dtype[np.uint8]],
    ) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        reached = self._table[numbers, classes]
        missing = reached == _UNKNOWN
        if missing.any():
            keys = numbers[missing].astype(np.int64) * self.machine.n_classes + classes[missing]
            steps: list[int] = np.unique(keys).tolist()
            for key in steps:
                number, byte_class = divmod(key, self.machine.n_classes)
                target = self._number(self.machine.step(self._states[number], byte_class))
                self._table[number, byte_class] = target
            reached = self._table[numbers, classes]
        found: np.ndarray[tuple[int], np.dtype[np.int32]] = reached
        return found

    def _number(self, state: Stacks) -> int:
        if state is self.machine.dead:
            return _DEAD
        number = self._numbers.get(state.serial)
        if number is None:
            number = self._numbers[state.serial] = len(self._states)
            self._states.append(state)
            if number >= len(self._table):
                more = np.full_like(self._table, _UNKNOWN)
                self._table = np.concatenate((self._table, more))
        return number

    def _begin_table(self) -> None:
        self._states = [self.machine.dead]
        self._numbers: dict[int, int] = {}
        self._table = np.full((64, self.machine.n_classes), _UNKNOWN, dtype=np.int32)
        self._table[_DEAD] = _DEAD
