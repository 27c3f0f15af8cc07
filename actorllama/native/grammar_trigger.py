"""What a lazy grammar waits for before it applies."""

from __future__ import annotations

from collections.abc import Sequence

from actorllama.native.grammar_machine import GrammarMachine, Stacks

__all__ = ["GrammarTrigger"]

_MAX_BEGINNINGS = 256


class GrammarTrigger:
    """Watch the generated text for the first place where one of some patterns matches.

    Patterns are grammars of their own, read from every byte at once: no backtracking, and a text that
    could begin in more than 256 places at once loses the oldest of them.
    """

    def __init__(self, patterns: Sequence[GrammarMachine], tokens: frozenset[int]) -> None:
        """Wait for a text that one of the patterns matches, or for one of these tokens."""
        self.tokens = tokens
        self._patterns = patterns
        self._text = bytearray()
        self._first = 0  # place of _text[0] in everything that was read
        self._beginnings: list[tuple[int, GrammarMachine, Stacks]] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Read a token's bytes.

        Returns:
            The text from the start of each match that became complete in this token, leftmost first:
            what the grammar is then to read. Empty while waiting goes on.
        """
        matched: set[int] = set()
        for byte in data:
            place = self._first + len(self._text)
            self._text.append(byte)
            self._beginnings += [(place, pattern, pattern.initial) for pattern in self._patterns]
            self._beginnings = self._read(byte, matched)[-_MAX_BEGINNINGS:]
        texts = [bytes(self._text[place - self._first :]) for place in sorted(matched)]
        self._forget()
        return texts

    def _read(self, byte: int, matched: set[int]) -> list[tuple[int, GrammarMachine, Stacks]]:
        alive: list[tuple[int, GrammarMachine, Stacks]] = []
        for place, pattern, state in self._beginnings:
            after = pattern.step(state, pattern.byte_class[byte])
            if after.accepts:
                matched.add(place)
            elif after.entries:
                alive.append((place, pattern, after))
        return alive

    def _forget(self) -> None:
        """Drop the text before the oldest beginning."""
        oldest = min((place for place, _, _ in self._beginnings), default=self._first + len(self._text))
        del self._text[: oldest - self._first]
        self._first = oldest
