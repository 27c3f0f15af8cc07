"""Grammars: what is read, what is refused and in which words, and that work is bounded."""

import pytest

from actorllama.errors import RequestError
from actorllama.native.grammar import choice_to_gbnf, compile_gbnf
from actorllama.native.grammar_machine import GrammarMachine


def machine(text: str) -> GrammarMachine:
    return GrammarMachine(compile_gbnf(text, "grammar"))


def matches(text: str, *words: str) -> list[bool]:
    reader = machine(text)
    return [reader.read(reader.initial, word.encode()).accepts for word in words]


def may_begin(text: str, word: str) -> bool:
    reader = machine(text)
    return reader.read(reader.initial, word.encode()) is not reader.dead


READ: list[tuple[str, list[str], list[str]]] = [
    ('root ::= "a" "b" | "c"', ["ab", "c"], ["a", "ac", "abc", ""]),
    ('root ::= ""', [""], ["a"]),
    ("root ::=", [""], ["a"]),
    ('root ::= x\nx ::= "a" |\n  "b"\n\n# end', ["a", "b"], ["ab"]),
    ('root ::= ("a" # why\n | "b")+', ["a", "abab"], [""]),
    ('root ::= "ab"*', ["", "abab"], ["aba"]),
    ('root ::= "a"? "b"{2} "c"{1,} "d"{0,2}', ["bbc", "abbccdd"], ["abc", "bbcddd"]),
    ('root ::= "a"{0}', [""], ["a"]),
    ("root ::= [a-cx-]", ["a", "c", "x", "-"], ["d", "w"]),
    ("root ::= [^a-c]", ["d", "é", "\n", "\U0001f600"], ["b", ""]),
    ("root ::= [à-é]+", ["àé", "ãäå"], ["a", "ê", "ß"]),
    ("root ::= [\\x41\\u00e9\\U0001F600-\\U0001F602\\]]", ["A", "é", "\U0001f601", "]"], ["B", "\U0001f603"]),
    ('root ::= "\\"\\\\\\n\\t\\[\\]\\-"', ['"\\\n\t[]-'], []),
    ("root ::= .", ["a", "\n", "€"], ["", "ab"]),
    ('root ::= ("a"?)* "b"', ["b", "aab"], ["a"]),
    ('root ::= ("a"*)* ("b"?){3}', ["", "aabbb"], ["bbbb"]),
    ('root ::= a root "x" | "y"\na ::= "z"', ["y", "zyx", "zzyxx"], ["zy"]),
    ('root ::= "a" root | root2\nroot2 ::= "b"', ["aab"], ["aa"]),
    ('root ::= "(" root ")" root | ""', ["", "(())()"], ["(()", ")"]),
]


@pytest.mark.parametrize(("text", "yes", "no"), READ, ids=[text for text, _, _ in READ])
def test_a_grammar_matches_what_its_notation_says(text: str, yes: list[str], no: list[str]) -> None:
    assert matches(text, *yes, *no) == [True] * len(yes) + [False] * len(no)


REFUSED = [
    ('root ::= "a', "line 1: this text is not closed"),
    ('a ::= "x"\n\nroot ::= b', "line 3: rule 'b' is used and not defined"),
    ('a ::= "x"', "no rule 'root'"),
    ('root ::= "a"\nroot ::= "b"', "line 2: rule 'root' is defined twice"),
    ("root = x", "line 1: expected '::='"),
    ("root ::= 'x'", "expected an operator, a symbol"),
    ("root ::= a_b", "expected an operator, a symbol"),
    ("_ ::= a", "name of a rule"),
    ("root ::= [a", "not closed"),
    ("root ::= []", "empty"),
    ("root ::= [z-a]", "backwards"),
    ('root ::= "\\q"', "unknown escape"),
    ('root ::= "\\x0"', "unknown escape"),
    ('root ::= "\\x00"', "cannot be generated"),
    ("root ::= [\\ud800-\\udfff]", "no character"),
    ('root ::= "\ud800"', "cannot be generated"),
    ("root ::= *", "nothing stands before"),
    ('root ::= ("a"', "not closed"),
    ('root ::= "a")', "expected an operator, a symbol"),
    ('root ::= "a"{', "expected {n}"),
    ('root ::= "a"{3,2}', "below the lower"),
    ('root ::= "a"{2001}', "at most 2000"),
    ("root ::= <think>", "by its number"),
    ('root ::= root "a" | "b"', "left recursion"),
    ('root ::= a root "x" | "z"\na ::= b\nb ::= "" | "y"', "left recursion"),
    ('root ::= a\na ::= b "x"\nb ::= c?\nc ::= a', "left recursion"),
    ("root ::= root", "matches no text"),
    ("root ::= " + "(" * 51, "nest deeper"),
    ('root ::= (("a"{2000}){2000}){2000}' + ' "b"{2000}' * 40, "grows beyond"),
    ("root ::= " + "a" * 70_000, "at most 65536"),
    ("root ::= " + "a? " * 4200 + '\na ::= "x"', "too ambiguous"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_a_wrong_grammar_is_refused_by_line_and_reason(text: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        compile_gbnf(text, "grammar")
    assert caught.value.field == "grammar"
    assert words in caught.value.reason


def test_what_makes_llama_cpp_abort_is_an_ordinary_answer_here() -> None:
    """A token that the grammar forbids throws there; hidden left recursion eats all memory there."""
    reader = machine('root ::= "zq"')
    assert reader.read(reader.initial, b"P") is reader.dead


def test_an_ambiguous_grammar_takes_space_in_proportion_not_exponentially() -> None:
    reader = machine('root ::= "a" root "b" | "a" root "c" | "a"')
    state = reader.read(reader.initial, b"a" * 200)  # 2 ** 199 stacks
    assert len(reader._known) < 2000
    assert reader.read(state, b"bc" * 99 + b"b").accepts
    assert not reader.read(state, b"bc" * 99).accepts


def test_nesting_ends_at_a_bound_and_right_recursion_does_not_nest() -> None:
    nesting = 'root ::= "(" root ")" | "x"'
    assert may_begin(nesting, "(" * 250)
    assert not may_begin(nesting, "(" * 260)
    assert matches('root ::= "a" root | "b"', "a" * 5000 + "b") == [True]
    assert matches('root ::= "a"+', "a" * 5000) == [True]


def test_equal_states_are_one_object() -> None:
    reader = machine('root ::= "\\"" [^"]* "\\""')
    assert reader.read(reader.initial, b'"abc') is reader.read(reader.initial, b'"x')


def test_states_go_on_when_what_is_known_has_been_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorllama.native.grammar_machine._MAX_KNOWN", 20)
    reader = machine('root ::= "(" root ")" root | [a-z]')
    assert reader.read(reader.initial, b"(" * 30 + b"a" + b")b" * 30).accepts
    assert reader.read(reader.initial, b"))") is reader.dead


def test_a_choice_matches_its_texts_and_nothing_else() -> None:
    text = choice_to_gbnf(["yes", "no", 'say "no"\n', "é\\"])
    assert matches(text, "yes", "no", 'say "no"\n', "é\\", "y", "yesno", "é") == [True] * 4 + [False] * 3


@pytest.mark.parametrize("choices", [[], "yes", 5, [""], [1], ["x"] * 1001, ["x" * 1001]])
def test_a_choice_that_is_none_is_refused(choices: object) -> None:
    with pytest.raises(RequestError):
        choice_to_gbnf(choices)  # type: ignore[arg-type]
