"""What our grammars allow is what llama.cpp's allow, token by token, on a real vocabulary."""

# llama_cpp's hints name ctypes classes where plain integers and references pass:
# pyright: reportArgumentType=false
import ctypes
from collections.abc import Iterator

import llama_cpp
import numpy as np
import pytest

from actorllama.demo import model_path
from actorllama.native import ModelOptions
from actorllama.native.grammar import GrammarRequest, compile_gbnf
from actorllama.native.grammar_machine import GrammarMachine
from actorllama.native.grammar_mask import GrammarMask, TokenTexts
from actorllama.native.grammar_schema import schema_to_gbnf
from actorllama.native.grammar_turn import GrammarTurn
from actorllama.native.llama.backend import LlamaBackend
from actorllama.native.llama.model import LlamaModel
from actorllama.native.llama.sampler_tools import SamplerTools
from actorllama.native.rng import uniform

_RECORD = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])

ARITHMETIC = r"""
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
"""
LIST = r"""
# a list, with a comment
root ::= item+
item ::= "- " [^\r\n\x0b\x0c\x85\u2028\u2029]+ "\n"
"""
GRAMMARS = {
    "arithmetic": ARITHMETIC,
    "list": LIST,
    "literal": 'root ::= "Once upon a time"',
    "any": "root ::= .*",
    "counted": 'root ::= ("the " | [a-c]){3,5} "x"? "y"{2} [^a-z]',
    "letters": 'root ::= "é" [à-ü]+ "€" [^€]',
    "nested": 'root ::= "(" root ")" | "[" root "]" | ""',
    "json": schema_to_gbnf({"type": "object"}),
    "schema": schema_to_gbnf(
        {
            "properties": {
                "name": {"type": "string"},
                "age": {"type": "integer", "minimum": 3, "maximum": 120},
            },
            "required": ["name"],
        }
    ),
}


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaModel]:
    loaded = LlamaBackend().load(model_path(), ModelOptions(n_gpu_layers=0), lambda _: True)
    assert isinstance(loaded, LlamaModel)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def tools(model: LlamaModel) -> SamplerTools:
    return SamplerTools(n_vocab=model.facts.n_vocab, vocab=llama_cpp.llama_model_get_vocab(model._handle))


def native_allowed(grammar: object, n_vocab: int) -> set[int]:
    records = np.zeros(n_vocab, dtype=_RECORD)
    records["id"] = np.arange(n_vocab)
    data = ctypes.cast(records.ctypes.data, llama_cpp.llama_token_data_p)
    array = llama_cpp.llama_token_data_array(data=data, size=n_vocab, selected=-1, sorted=False)
    llama_cpp.llama_sampler_apply(grammar, ctypes.byref(array))
    return set(np.isfinite(records["logit"]).nonzero()[0].tolist())


@pytest.mark.parametrize("name", GRAMMARS)
def test_the_allowed_tokens_are_those_of_llama_cpp(model: LlamaModel, tools: SamplerTools, name: str) -> None:
    """Walk at random over tokens that are whole characters.

    Left out: control tokens, whose spelling llama.cpp takes for text, and pieces of characters, where it
    allows bytes that no character begins with and forbids some that an allowed one does.
    """
    text = GRAMMARS[name]
    native = llama_cpp.llama_sampler_init_grammar(tools._vocab, text.encode(), b"root")
    assert native
    turn = tools.grammar_turn(GrammarRequest(grammar=text))
    assert turn is not None
    whole = {t for t, piece in enumerate(tools.texts.pieces) if is_whole(piece)} | tools.texts.ends
    try:
        for step in range(25):
            allowed = whole.intersection(turn.allowed().tolist())
            assert allowed == whole & native_allowed(native, model.facts.n_vocab)
            going_on = sorted(allowed - tools.texts.ends)
            assert all(turn.allows(token) for token in going_on[:20])
            if not going_on:
                break
            token = going_on[int(uniform(7, step) * len(going_on))]
            turn.accept(token)
            llama_cpp.llama_sampler_accept(native, token)
    finally:
        llama_cpp.llama_sampler_free(native)


def is_whole(piece: bytes) -> bool:
    try:
        return bool(piece.decode())
    except UnicodeDecodeError:
        return False


def turn_over(text: str, pieces: list[bytes], ends: tuple[int, ...] = ()) -> GrammarTurn:
    machine = GrammarMachine(compile_gbnf(text, "grammar"))
    return GrammarTurn(GrammarMask(machine, TokenTexts(pieces, ends)), None)


def test_a_token_may_end_inside_a_character() -> None:
    pieces = ["é".encode()[:1], "é".encode()[1:], "è".encode()[1:], b"e", "éé".encode()[:3]]
    turn = turn_over('root ::= "éé"', pieces)
    assert turn.allowed().tolist() == [0, 4]
    turn.accept(0)
    assert turn.allowed().tolist() == [1]


def test_end_tokens_are_allowed_where_the_grammar_may_end_and_only_there() -> None:
    turn = turn_over('root ::= "a"+ "b"', [b"a", b"b", b"</s>", b""], ends=(2, 3))
    assert turn.allowed().tolist() == [0]
    turn.accept(0)
    assert turn.allowed().tolist() == [0, 1]
    assert not turn.allows(2)
    turn.accept(1)
    assert turn.allowed().tolist() == [2, 3]
    assert turn.allows(2)


def test_tokens_can_be_named_by_number() -> None:
    turn = turn_over('root ::= <[1]> (!<[2]> | "c") <[0]>', [b"a", b"", b"b", b"cc"])
    assert turn.allowed().tolist() == [1]
    assert turn.allows(1)
    turn.accept(1)
    assert turn.allowed().tolist() == [0, 1, 3]
    turn.accept(3)
    assert turn.allowed().tolist() == [0]


def test_many_tokens_and_states_agree_with_trying_each_token_by_itself(tools: SamplerTools) -> None:
    machine = GrammarMachine(compile_gbnf(ARITHMETIC, "grammar"))
    mask = GrammarMask(machine, tools.texts)
    state = machine.initial
    for byte in b"(ab + 12) / x = ":
        state = machine.step(state, machine.byte_class[byte])
        one_by_one = [
            token
            for token, piece in enumerate(tools.texts.pieces)
            if piece and machine.read(state, piece) is not machine.dead
        ]
        assert mask.allowed(state).tolist() == one_by_one
