"""Regular expressions as grammars: the regular part of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from actorllama.errors import RequestError
from actorllama.native.grammar_chars import Ranges, complement, normalised, spelled_set

__all__ = ["Spell", "regex_body", "regex_to_gbnf"]

Spell = Callable[[Ranges], str]
"""How one character out of a set is spelled in the grammar."""

_MAX_CHARS = 4096
_MAX_NESTING = 40
_REPEAT = re.compile(r"\{(\d{1,9})(?:(,)(\d{1,9})?)?\}")
_GROUP = re.compile(r"\((?:\?:|\?P?<[A-Za-z_][A-Za-z_0-9]*>)?(?!\?)")
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")

_DIGIT: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Ranges = ((0x09, 0x0D), (0x20, 0x20))
_NOT_NEWLINE = complement(((0x0A, 0x0A),))
_SHORT: dict[str, Ranges] = {
    "d": _DIGIT,
    "w": _WORD,
    "s": _SPACE,
    "D": complement(_DIGIT),
    "W": complement(_WORD),
    "S": complement(_SPACE),
}
_CONTROL = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11}
_SPECIAL = set("\\.[]{}()*+?^$|/-\"'#&~ ,:;=!<>%@`_")


def regex_to_gbnf(pattern: str, *, source: str) -> str:
    r"""Return a grammar that matches what the whole of the pattern matches.

    There are: texts, ``.`` (all but newline), classes, ``\d \w \s`` (ASCII) and their opposites,
    ``\n \r \t \f \v \xHH \uHHHH \UHHHHHHHH``, groups (named ones too), ``|``, ``* + ? {n}
    {n,} {n,m}``, ``^`` and ``$`` at the ends. A lazy repetition matches the same texts as a greedy
    one. There are no look-arounds, back-references, word boundaries, flags or possessive repetitions:
    those are not regular, or mean nothing to a whole match.

    Raises:
        RequestError: The pattern is wrong, or uses what there is not; with its place.
    """
    return f"root ::= {regex_body(pattern, source=source, spell=spelled_set)}"


def regex_body(pattern: str, *, source: str, spell: Spell) -> str:
    """Return the right side of a rule for this pattern; every character goes through ``spell``."""
    if not isinstance(pattern, str):
        raise RequestError(field=source, value=pattern, reason="must be a text")
    if len(pattern) > _MAX_CHARS:
        reason = f"a pattern of {len(pattern)} characters; at most {_MAX_CHARS} are read"
        raise RequestError(field=source, value=pattern, reason=reason)
    return _Reader(pattern, source, spell).read()


class _Reader:
    """A recursive descent; each method leaves ``_at`` behind what it has read and returns GBNF."""

    def __init__(self, pattern: str, source: str, spell: Spell) -> None:
        self._text = pattern
        self._source = source
        self._spell = spell
        self._at = 0
        self._nesting = 0

    def read(self) -> str:
        body = self._read_alternatives()
        if self._at < len(self._text):
            self._fail("this parenthesis was not opened")
        return body

    def _fail(self, reason: str) -> NoReturn:
        shown = self._text[self._at : self._at + 20]
        raise RequestError(field=self._source, value=shown, reason=f"at character {self._at}: {reason}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _read_alternatives(self) -> str:
        alternatives = [self._read_sequence()]
        while self._peek() == "|":
            self._at += 1
            alternatives.append(self._read_sequence())
        return " | ".join(alternatives)

    def _read_sequence(self) -> str:
        items: list[str] = []
        if self._peek() == "^" and self._nesting == 0:
            self._at += 1
        while (first := self._peek()) not in {"", "|", ")"}:
            if first == "$" and self._nesting == 0 and self._text[self._at + 1 : self._at + 2] in {"", "|"}:
                self._at += 1
                break
            items.append(self._read_item(first) + self._read_repeat())
        return " ".join(items) if items else '""'

    def _read_item(self, first: str) -> str:
        if first in "*+?{":
            self._fail(f"nothing stands before '{first}' that could be repeated")
        if first in "^$":
            self._fail(f"'{first}' is known at the ends of the pattern only")
        if first == "(":
            return self._read_group()
        if first == "[":
            return self._spelled(self._read_class())
        if first == ".":
            self._at += 1
            return self._spelled(_NOT_NEWLINE)
        if first == "\\":
            return self._spelled(self._read_escape())
        self._at += 1
        return self._spelled(((ord(first), ord(first)),))

    def _spelled(self, ranges: Ranges) -> str:
        found = normalised(ranges)
        if not found:
            self._fail("matches no character that can be generated")
        return self._spell(found)

    def _read_group(self) -> str:
        match = _GROUP.match(self._text, self._at)
        if match is None:
            self._fail("of groups there are (...), (?:...) and (?P<name>...)")
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            self._fail(f"groups nest deeper than {_MAX_NESTING}")
        self._at = match.end()
        body = self._read_alternatives()
        if self._peek() != ")":
            self._fail("a parenthesis is not closed")
        self._at += 1
        self._nesting -= 1
        return f"({body})"

    def _read_repeat(self) -> str:
        first = self._peek()
        match = _REPEAT.match(self._text, self._at) if first == "{" else None
        if match is not None:
            repeat = match[0]
        elif first and first in "*+?":
            repeat = first
        elif first == "{":
            self._fail("expected {n}, {n,} or {n,m}; write \\{ for the character")
        else:
            return ""
        self._at += len(repeat)
        if self._peek() == "?":
            self._at += 1
        elif self._peek() and self._peek() in "*+{":
            self._fail("a repetition cannot be repeated; put it into a group")
        return repeat

    def _read_class(self) -> Ranges:
        self._at += 1
        is_negated = self._peek() == "^"
        self._at += is_negated
        found: list[tuple[int, int]] = []
        is_first = True
        while is_first or self._peek() != "]":
            if not self._peek():
                self._fail("a class is not closed")
            found.extend(self._read_class_item())
            is_first = False
        self._at += 1
        ranges = normalised(found)
        return complement(ranges) if is_negated else ranges

    def _read_class_item(self) -> Ranges:
        low = self._read_class_character()
        is_range = self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in {"]", ""}
        if not is_range:
            return low
        self._at += 1
        high = self._read_class_character()
        if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
            self._fail("a range needs a character on both sides")
        if high[0][0] < low[0][0]:
            self._fail("a range runs backwards")
        return ((low[0][0], high[0][0]),)

    def _read_class_character(self) -> Ranges:
        character = self._peek()
        if character == "\\":
            return self._read_escape()
        if character == "[" and self._text[self._at + 1 : self._at + 2] == ":":
            self._fail("named classes are not known")
        self._at += 1
        return ((ord(character), ord(character)),)

    def _read_escape(self) -> Ranges:
        self._at += 1
        character = self._peek()
        match = _HEX.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            code = int(match[1] or match[2] or match[3], 16)
            return ((code, code),)
        self._at += 1
        if character in _SHORT:
            return _SHORT[character]
        code = _CONTROL.get(character, ord(character) if character in _SPECIAL else -1)
        if code < 0:
            self._at -= 2
            self._fail("this escape is not known here (no \\b, no back-references)")
        return ((code, code),)
