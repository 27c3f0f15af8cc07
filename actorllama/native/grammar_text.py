"""Read GBNF, llama.cpp's grammar notation, into rules; say by line what is wrong with it."""

from __future__ import annotations

import re
from typing import NoReturn

from attrs import field, frozen

from actorllama.errors import RequestError
from actorllama.native.grammar_chars import ANY, Ranges, complement, normalised

__all__ = ["GrammarRules", "Symbol", "TokenSymbol", "read_grammar"]

_MAX_CHARS = 1 << 16
_MAX_SYMBOLS = 1 << 16
_MAX_NESTING = 50
_MAX_REPEATS = 2000  # as in llama.cpp

_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACE_OR_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[a-zA-Z0-9-]+")
_REPEAT = re.compile(r"\{[ \t]*(\d{1,9})[ \t]*(?:(,)[ \t]*(\d{1,9})?[ \t]*)?\}")
_TOKEN = re.compile(r"(!?)<\[(\d{1,9})\]>")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([trn\\\"\[\]-]))")
_LINE_END = re.compile(r"\r\n?|\n|\Z")
_LETTERS = {"t": 9, "r": 13, "n": 10}


@frozen
class TokenSymbol:
    """A place for one whole token, or for any token but one."""

    token: int
    is_negated: bool


Symbol = int | Ranges | TokenSymbol
"""A rule by its number, one character of a set, or one token."""


@frozen
class GrammarRules:
    """Rules by number: the alternatives of each, every one a row of symbols."""

    root: int
    alternatives: list[list[list[Symbol]]]
    names: list[str] = field(repr=False)
    """For messages; repetitions and groups are called after the rule that they stand in."""


def read_grammar(text: str, *, source: str) -> GrammarRules:
    """Read a grammar whose start rule is ``root``.

    The notation is llama.cpp's (grammars/README.md), with three differences: a rule may be defined
    once only, a token can be named by its number only (``<[42]>``), and more than 2000 repetitions are
    refused instead of being taken for any number.

    Args:
        text: The grammar.
        source: The request's field that it comes from, for messages.

    Raises:
        RequestError: What is wrong, and in which line.

    Cost: about 1 µs a character; 65,536 characters at most.
    """
    if not isinstance(text, str):
        raise RequestError(field=source, value=text, reason="must be a text")
    if len(text) > _MAX_CHARS:
        reason = f"a grammar of {len(text)} characters; at most {_MAX_CHARS} are read"
        raise RequestError(field=source, value=text, reason=reason)
    return _Reader(text, source).read()


class _Reader:
    """A recursive descent over the text; each method leaves ``_at`` behind what it has read."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._at = 0
        self._numbers: dict[str, int] = {}
        self._rules: list[list[list[Symbol]] | None] = []
        self._names: list[str] = []
        self._singles: dict[int, Ranges] = {}
        self._n_symbols = 0
        self._nesting = 0

    def read(self) -> GrammarRules:
        self._skip(_SPACE_OR_LINES)
        while self._at < len(self._text):
            self._read_rule()
        rules: list[list[list[Symbol]]] = []
        for name, rule in zip(self._names, self._rules, strict=True):
            if rule is None:
                self._fail(f"rule '{name}' is used and not defined", at=self._text.find(name))
            rules.append(rule)
        if "root" not in self._numbers:
            self._fail("there is no rule 'root' to start with", at=0)
        return GrammarRules(self._numbers["root"], rules, self._names)

    def _fail(self, reason: str, *, at: int | None = None) -> NoReturn:
        at = self._at if at is None else at
        line = self._text.count("\n", 0, at) + 1
        shown = self._text[at : at + 30].split("\n")[0]
        raise RequestError(field=self._source, value=shown, reason=f"line {line}: {reason}")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = self._new_rule(name)
        return number

    def _new_rule(self, name: str) -> int:
        self._rules.append(None)
        self._names.append(name)
        return len(self._rules) - 1

    def _count(self, n: int) -> None:
        self._n_symbols += n
        if self._n_symbols > _MAX_SYMBOLS:
            self._fail(f"the grammar grows beyond {_MAX_SYMBOLS} symbols with its repetitions written out")

    # -- rules -------------------------------------------------------------------------------------

    def _read_rule(self) -> None:
        began = self._at
        match = self._take(_NAME)
        if match is None:
            self._fail("expected the name of a rule (letters, digits, '-')")
        name = match[0]
        number = self._number(name)
        if self._rules[number] is not None:
            self._fail(f"rule '{name}' is defined twice", at=began)
        self._skip(_SPACE)
        if not self._text.startswith("::=", self._at):
            self._fail(f"expected '::=' after '{name}'")
        self._at += 3
        self._skip(_SPACE_OR_LINES)
        self._rules[number] = self._read_alternatives(name, _SPACE)
        if self._take(_LINE_END) is None:
            self._fail("expected an operator, a symbol or the end of the line")
        self._skip(_SPACE_OR_LINES)

    def _read_alternatives(self, name: str, space: re.Pattern[str]) -> list[list[Symbol]]:
        alternatives = [self._read_sequence(name, space)]
        while self._peek() == "|":
            self._at += 1
            self._skip(_SPACE_OR_LINES)
            alternatives.append(self._read_sequence(name, space))
        self._count(len(alternatives))
        return alternatives

    def _read_sequence(self, name: str, space: re.Pattern[str]) -> list[Symbol]:
        symbols: list[Symbol] = []
        last: list[Symbol] = []
        while True:
            first = self._peek()
            if first and first in "*+?{":
                if not last:
                    self._fail(f"nothing stands before '{first}' that could be repeated")
                low, high = self._read_repeat()
                del symbols[len(symbols) - len(last) :]
                last = self._repeated(last, low, high, name)
            else:
                found = self._read_item(first, name)
                if found is None:
                    return symbols
                last = found
            self._count(len(last))
            symbols += last
            self._skip(space)

    def _read_item(self, first: str, name: str) -> list[Symbol] | None:
        """Read one item as symbols; ``None`` if none stands here."""
        if first == '"':
            return self._read_literal()
        if first == "[":
            return [self._read_class()]
        if first == ".":
            self._at += 1
            return [ANY]
        if first == "(":
            return [self._read_group(name)]
        if first and first in "<!":
            return [self._read_token()]
        match = self._take(_NAME)
        return None if match is None else [self._number(match[0])]

    def _read_group(self, name: str) -> int:
        began = self._at
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            self._fail(f"parentheses nest deeper than {_MAX_NESTING}")
        self._at += 1
        self._skip(_SPACE_OR_LINES)
        number = self._new_rule(name)
        self._rules[number] = self._read_alternatives(name, _SPACE_OR_LINES)
        if self._peek() != ")":
            self._fail("this parenthesis is not closed", at=began)
        self._at += 1
        self._nesting -= 1
        return number

    def _read_repeat(self) -> tuple[int, int | None]:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self._peek())
        if simple is not None:
            self._at += 1
            return simple
        began = self._at
        match = self._take(_REPEAT)
        if match is None:
            self._fail("expected {n}, {n,} or {n,m}")
        low = int(match[1])
        high = int(match[3]) if match[3] else None if match[2] else low
        if low > _MAX_REPEATS or (high or 0) > _MAX_REPEATS:
            self._fail(f"at most {_MAX_REPEATS} repetitions", at=began)
        if high is not None and high < low:
            self._fail("the upper number of repetitions is below the lower", at=began)
        return low, high

    def _repeated(self, item: list[Symbol], low: int, high: int | None, name: str) -> list[Symbol]:
        """Write a repetition out as rules: ``x{2,4}`` is ``x x (x (x)?)?``, ``x*`` is ``r ::= x r |``."""
        symbols = item * low
        if high is None:
            rest = self._new_rule(name)
            self._rules[rest] = [[*item, rest], []]
            self._count(len(item) + 2)
            return [*symbols, rest]
        inner: list[Symbol] = []
        for _ in range(high - low):
            optional = self._new_rule(name)
            self._rules[optional] = [[*item, *inner], []]
            self._count(len(item) + 2)
            inner = [optional]
        return symbols + inner

    # -- terminals ---------------------------------------------------------------------------------

    def _read_token(self) -> TokenSymbol:
        match = self._take(_TOKEN)
        if match is None:
            self._fail("a token is named by its number, as in <[42]> or !<[42]>")
        return TokenSymbol(int(match[2]), bool(match[1]))

    def _read_literal(self) -> list[Symbol]:
        began = self._at
        self._at += 1
        symbols: list[Symbol] = []
        while (character := self._peek()) != '"':
            if character in {"", "\r", "\n"}:
                self._fail("this text is not closed on its line", at=began)
            code = self._read_character()
            ranges = self._singles.get(code)
            if ranges is None:
                ranges = self._singles[code] = normalised([(code, code)])
            if not ranges:
                self._fail("U+0000 and surrogates cannot be generated", at=began)
            symbols.append(ranges)
        self._at += 1
        return symbols

    def _read_class(self) -> Ranges:
        began = self._at
        self._at += 1
        is_negated = self._peek() == "^"
        self._at += is_negated
        ranges: list[tuple[int, int]] = []
        while self._peek() != "]":
            if not self._peek():
                self._fail("this class is not closed", at=began)
            low = high = self._read_character()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                high = self._read_character()
            if high < low:
                self._fail("a range runs backwards", at=began)
            ranges.append((low, high))
        self._at += 1
        if not ranges:
            self._fail("this class is empty", at=began)
        found = complement(normalised(ranges)) if is_negated else normalised(ranges)
        if not found:
            self._fail("no character is in this class", at=began)
        return found

    def _read_character(self) -> int:
        character = self._peek()
        if character != "\\":
            self._at += 1
            return ord(character)
        match = self._take(_ESCAPE)
        if match is None:
            self._fail('unknown escape; there are \\x12 \\u1234 \\U12345678 \\t \\r \\n \\\\ \\" \\[ \\] \\-')
        if match[4]:
            return _LETTERS.get(match[4], ord(match[4]))
        return int(match[1] or match[2] or match[3], 16)
