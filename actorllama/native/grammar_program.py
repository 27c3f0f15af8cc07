"""Rules over characters turned into rules over classes of bytes, as one flat list."""

from __future__ import annotations

from attrs import frozen

from actorllama.native.grammar_chars import Ranges, Utf8Steps, utf8_steps
from actorllama.native.grammar_text import GrammarRules, Symbol, TokenSymbol

__all__ = ["END", "GrammarProgram", "compile_rules"]

END = -1
"""Stands behind the last symbol of every alternative."""


@frozen
class GrammarProgram:
    """A grammar over bytes.

    A place is an index into ``symbols``. There, a number from 0 is a rule, ``END`` is the end of an
    alternative, and what is below ``END`` is a terminal, number ``-2 - symbol``.
    """

    symbols: list[int]
    starts: list[tuple[int, ...]]
    """Where the alternatives of each rule begin."""
    root: int
    byte_class: bytes
    """The class of each byte: the grammar cannot tell bytes of one class from each other."""
    n_classes: int
    terminals: list[frozenset[int] | TokenSymbol]
    """The classes that a terminal reads, or the token."""


def compile_rules(rules: GrammarRules) -> GrammarProgram:
    """Lay the rules out and split every character into its bytes.

    Working on bytes makes a token that ends inside a character nothing special: the grammar is then
    at a place inside the character, and exactly the tokens that complete an allowed one may follow.
    llama.cpp works on characters and guesses there.
    """
    return _Compiler(rules).compile()


class _Compiler:
    def __init__(self, rules: GrammarRules) -> None:
        self._root = rules.root
        self._rows: list[list[list[Symbol]]] = list(rules.alternatives)
        self._terminals: dict[int | TokenSymbol, int] = {}  # a set of bytes as bits, or a token
        self._sets: dict[Ranges, int] = {}
        self._tails: dict[tuple[Utf8Steps, ...], int] = {}

    def compile(self) -> GrammarProgram:
        symbols: list[int] = []
        starts: list[tuple[int, ...]] = []
        for rows in self._rows:  # grows while it is walked: sets of long characters become rules
            begins: list[int] = []
            for row in rows:
                begins.append(len(symbols))
                symbols += [self._symbol(symbol) for symbol in row]
                symbols.append(END)
            starts.append(tuple(begins))
        byte_class, n_classes = self._classes()
        terminals = [_reads(kind, byte_class) for kind in self._terminals]
        return GrammarProgram(symbols, starts, self._root, byte_class, n_classes, terminals)

    def _symbol(self, symbol: Symbol) -> int:
        if isinstance(symbol, int):
            return symbol  # a rule, or a terminal of our own making
        if isinstance(symbol, TokenSymbol):
            return self._terminal(symbol)
        known = self._sets.get(symbol)
        if known is None:
            known = self._sets[symbol] = self._spell(tuple(utf8_steps(symbol)))
        return known

    def _spell(self, spellings: tuple[Utf8Steps, ...]) -> int:
        """Return a symbol that reads one of these spellings; equal endings are shared."""
        known = self._tails.get(spellings)
        if known is not None:
            return known
        tails: dict[Utf8Steps, list[Utf8Steps]] = {}
        for first, *rest in spellings:
            tails.setdefault((first,), []).append(tuple(rest))
        by_tails: dict[tuple[Utf8Steps, ...], int] = {}
        for (lead,), group in tails.items():
            ends = () if group == [()] else tuple(group)
            by_tails[ends] = by_tails.get(ends, 0) | _bits(*lead)
        rows: list[list[Symbol]] = [
            [self._terminal(bits), *([self._spell(ends)] if ends else [])] for ends, bits in by_tails.items()
        ]
        if len(rows) == 1 and len(rows[0]) == 1:
            only = rows[0][0]
            assert isinstance(only, int)
            self._tails[spellings] = only
        else:
            self._tails[spellings] = len(self._rows)
            self._rows.append(rows)
        return self._tails[spellings]

    def _terminal(self, kind: int | TokenSymbol) -> int:
        return -2 - self._terminals.setdefault(kind, len(self._terminals))

    def _classes(self) -> tuple[bytes, int]:
        """Put bytes together that stand in the same sets."""
        marks = [0] * 256
        for number, bits in enumerate(self._terminals):
            for byte in range(256):
                if isinstance(bits, int) and bits >> byte & 1:
                    marks[byte] |= 1 << number
        numbers: dict[int, int] = {}
        return bytes(numbers.setdefault(mark, len(numbers)) for mark in marks), len(numbers)


def _reads(kind: int | TokenSymbol, byte_class: bytes) -> frozenset[int] | TokenSymbol:
    if isinstance(kind, TokenSymbol):
        return kind
    return frozenset(byte_class[byte] for byte in range(256) if kind >> byte & 1)


def _bits(low: int, high: int) -> int:
    return (1 << (high + 1)) - (1 << low)
