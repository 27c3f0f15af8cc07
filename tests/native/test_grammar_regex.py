"""Regular expressions: the same texts as Python's own, or a refusal."""

import re

import pytest

from actorllama.errors import RequestError
from actorllama.native.grammar import compile_gbnf
from actorllama.native.grammar_machine import GrammarMachine
from actorllama.native.grammar_regex import regex_to_gbnf
from actorllama.native.rng import uniform

PATTERNS = [
    "abc",
    "a|b|",
    "(a|b)*abb",
    r"\d{3}-\d{2,4}",
    r"[a-c]+[^a-c\d]?",
    r"\w+@\w+\.(com|org)",
    r"(?:ab?)+?c{2}",
    r"(?P<year>[12]\d{3})(?P<rest>/\d)*",
    r"^a.c$",
    r"[\]\-x]{1,3}|[]a]",
    r"\s*\S\s*",
    r"[-a]b[a-]",
    r"(a*)*b",
    r"((a|ab)(bc|c))?",
    r"\x61\u0062\U00000063",
    r"é+[à-ü]?",
    r"[^\n]\.",
    "",
]
ALPHABET = "aabbccx12-/@.] \né{}"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_the_texts_that_python_s_matches(pattern: str) -> None:
    reader = GrammarMachine(compile_gbnf(regex_to_gbnf(pattern, source="regex"), "regex"))
    expected = re.compile(pattern, re.ASCII)
    for seed in range(400):
        n = int(uniform(seed, 0) * 8)
        text = "".join(ALPHABET[int(uniform(seed, i + 1) * len(ALPHABET))] for i in range(n))
        accepts = reader.read(reader.initial, text.encode()).accepts
        assert accepts == bool(expected.fullmatch(text)), text


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "(a", "a)", "*", "a**", "a{2}{3}", "a{1", "[a", "[z-a]", "[a-\\d]", "\\", "a++"),
        *("(?=a)", "(?!a)", "(?<=a)", "(a)\\1", "\\bword", "(?i)a", "a^b", "a$b", "[[:alpha:]]", "\\p{L}"),
        *("(?#c)a", "(" * 41, "x" * 5000, "a{2,1}", "a{2001}", "\\x00"),
    ],
)
def test_what_is_wrong_or_not_regular_is_refused(pattern: str) -> None:
    with pytest.raises(RequestError) as caught:
        compile_gbnf(regex_to_gbnf(pattern, source="regex"), "regex")
    assert caught.value.field == "regex"
