"""Run a grammar over bytes: every way to read them at once, each set of ways stored once."""

from __future__ import annotations

from collections.abc import Iterable

from actorllama.native.grammar_program import END, GrammarProgram
from actorllama.native.grammar_text import TokenSymbol

__all__ = ["GrammarMachine", "Stacks"]

_MAX_DEPTH = 256
_MAX_STEPS = 4096
_MAX_KNOWN = 200_000


class Stacks:
    """A set of stacks of places, as a graph: the top places, and below each the set of what follows.

    Two equal sets are the same object, so that a set of 2 ** n stacks that share their parts takes
    n objects, and whether two states are equal is one comparison.
    """

    __slots__ = ("accepts", "depth", "entries", "next", "serial")

    def __init__(self, entries: dict[int, Stacks], *, accepts: bool, serial: int) -> None:
        """Only a machine makes these."""
        self.entries = entries
        self.accepts = accepts
        """Whether the empty stack is in it: the grammar may end here."""
        self.serial = serial
        self.depth: int = 1 + max((rest.depth for rest in entries.values()), default=-1)
        self.next: dict[int, Stacks] = {}
        """Where each byte class leads, once asked for."""


class GrammarMachine:
    """The states of one grammar, made as they are met.

    A state is a ``Stacks`` whose top places are all terminals. A grammar that nests deeper than 256,
    or that is so ambiguous that one byte would take more than 4096 steps, is not read on there: the
    byte is not allowed. Both bounds depend on the state and nothing else, so that a rebuilt state
    behaves as the first one did.

    Owner: one context's samplers, one after the other. States of one machine mean nothing to another.

    Source: the sets of stacks are those of src/llama-grammar.cpp; sharing them is Tomita's
    graph-structured stack (1985). llama.cpp keeps each stack by itself and can need 2 ** n of them.
    """

    def __init__(self, program: GrammarProgram) -> None:
        """Begin before the first byte; ``initial`` accepts nothing if the grammar matches no text."""
        self._symbols = program.symbols
        self._starts = program.starts
        self._terminals = program.terminals
        self.byte_class = program.byte_class
        self.n_classes = program.n_classes
        self._n_made = 0
        self._known: dict[tuple[bool, tuple[tuple[int, int], ...]], Stacks] = {}
        self._unions: dict[tuple[int, int], Stacks] = {}
        self.dead = self._make({}, accepts=False)
        self._done = self._make({}, accepts=True)
        self.initial = self._expand(
            [(start, self._done) for start in self._starts[program.root]], accepts=False
        )

    def step(self, state: Stacks, byte_class: int) -> Stacks:
        """Read one byte of this class."""
        known = state.next.get(byte_class)
        if known is None:
            self._forget_if_full()
            tops: list[tuple[int, Stacks]] = []
            accepts = False
            for place, rest in state.entries.items():
                reads = self._terminals[-2 - self._symbols[place]]
                if not isinstance(reads, TokenSymbol) and byte_class in reads:
                    accepts = self._go_behind(place, rest, tops) or accepts
            known = state.next[byte_class] = (
                self._expand(tops, accepts=accepts) if tops or accepts else self.dead
            )
        return known

    def read(self, state: Stacks, data: bytes) -> Stacks:
        """Read these bytes; ``dead`` if the grammar does not allow them."""
        for byte in data:
            state = self.step(state, self.byte_class[byte])
            if state is self.dead:
                break
        return state

    def read_token(self, state: Stacks, token: int, data: bytes) -> Stacks:
        """Read a token by its bytes (none for a control token) and as a whole."""
        by_bytes = self.read(state, data) if data else self.dead
        tops: list[tuple[int, Stacks]] = []
        accepts = False
        for place, symbol in self.token_places(state):
            if (symbol.token == token) is not symbol.is_negated:
                accepts = self._go_behind(place, state.entries[place], tops) or accepts
        if not tops and not accepts:
            return by_bytes
        return self._union(by_bytes, self._expand(tops, accepts=accepts))

    def token_places(self, state: Stacks) -> list[tuple[int, TokenSymbol]]:
        """Return the places where the state waits for a whole token."""
        found: list[tuple[int, TokenSymbol]] = []
        for place in state.entries:
            reads = self._terminals[-2 - self._symbols[place]]
            if isinstance(reads, TokenSymbol):
                found.append((place, reads))
        return found

    def _go_behind(self, place: int, rest: Stacks, tops: list[tuple[int, Stacks]]) -> bool:
        """Add what follows a symbol; return whether the grammar may end there."""
        if self._symbols[place + 1] != END:
            tops.append((place + 1, rest))
            return False
        tops.extend(rest.entries.items())
        return rest.accepts

    def _expand(self, tops: Iterable[tuple[int, Stacks]], *, accepts: bool) -> Stacks:
        """Open rules until terminals stand on top."""
        symbols, todo = self._symbols, list(tops)
        seen: set[tuple[int, int]] = set()
        found: dict[int, Stacks] = {}
        while todo:
            place, rest = todo.pop()
            if (place, rest.serial) in seen:
                continue
            seen.add((place, rest.serial))
            if len(seen) > _MAX_STEPS:
                return self.dead
            symbol = symbols[place]
            if symbol == END:  # an empty alternative
                todo.extend(rest.entries.items())
                accepts = accepts or rest.accepts
            elif symbol < END:
                other = found.get(place)
                found[place] = rest if other is None else self._union(other, rest)
            else:
                # The last symbol of an alternative leaves nothing behind: right recursion takes no depth.
                below = rest if symbols[place + 1] == END else self._make({place + 1: rest}, accepts=False)
                todo.extend((start, below) for start in self._starts[symbol])
        return self._make(found, accepts=accepts)

    def _make(self, entries: dict[int, Stacks], *, accepts: bool) -> Stacks:
        """Return the one object for this set."""
        entries = {place: rest for place, rest in entries.items() if rest.depth < _MAX_DEPTH}
        key = (accepts, tuple(sorted((place, rest.serial) for place, rest in entries.items())))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Stacks(entries, accepts=accepts, serial=self._n_made)
            self._n_made += 1
        return known

    def _forget_if_full(self) -> None:
        """Let go of what is known; sets met again are made anew, which costs only time."""
        if len(self._known) + len(self._unions) >= _MAX_KNOWN:
            self._known = {(False, ()): self.dead, (True, ()): self._done}
            self._unions.clear()
            self.initial.next.clear()

    def _union(self, one: Stacks, other: Stacks) -> Stacks:
        """Return the set of the stacks of both."""
        if one is other or other is self.dead:
            return one
        if one is self.dead:
            return other
        key = (one.serial, other.serial)
        known = self._unions.get(key)
        if known is None:
            entries = dict(one.entries)
            for place, rest in other.entries.items():
                mine = entries.get(place)
                entries[place] = rest if mine is None else self._union(mine, rest)
            known = self._unions[key] = self._make(entries, accepts=one.accepts or other.accepts)
        return known
