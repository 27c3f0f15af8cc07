"""The embedded file itself, read with the `gguf` package: no model is run here."""

from typing import cast

import pytest
from gguf import GGUFReader, TokenType

from actorllama.demo import model_path


@pytest.fixture(scope="module")
def reader() -> GGUFReader:
    return GGUFReader(model_path())


def _value(reader: GGUFReader, key: str) -> object:
    field = reader.get_field(key)
    assert field is not None, key
    return field.contents()


def _strings(reader: GGUFReader, key: str) -> list[str]:
    values = _value(reader, key)
    assert isinstance(values, list)
    return [str(value) for value in cast("list[object]", values)]


def test_the_file_is_at_most_four_megabytes() -> None:
    assert 1_000_000 < model_path().stat().st_size <= 4_000_000


def test_the_architecture_is_llama_with_a_context_of_2048_or_more(reader: GGUFReader) -> None:
    assert _value(reader, "general.architecture") == "llama"
    n_ctx = _value(reader, "llama.context_length")
    assert isinstance(n_ctx, int)
    assert n_ctx >= 2048


def test_name_licence_author_and_description_are_stated(reader: GGUFReader) -> None:
    assert _value(reader, "general.license") == "MIT"
    for key in ("general.name", "general.author", "general.description"):
        assert _value(reader, key)


def test_the_chat_template_knows_roles_and_the_generation_prompt(reader: GGUFReader) -> None:
    template = _value(reader, "tokenizer.chat_template")
    assert isinstance(template, str)
    for part in ("messages", "role", "content", "add_generation_prompt", "<|im_start|>", "<|im_end|>"):
        assert part in template


def test_a_turn_ends_with_a_control_token(reader: GGUFReader) -> None:
    tokens, types = _strings(reader, "tokenizer.ggml.tokens"), _value(reader, "tokenizer.ggml.token_type")
    eos = _value(reader, "tokenizer.ggml.eos_token_id")
    assert isinstance(eos, int)
    assert isinstance(types, list)
    assert tokens[eos] == "<|im_end|>"
    assert types[eos] == TokenType.CONTROL
    assert _value(reader, "tokenizer.ggml.eot_token_id") == eos
    assert _value(reader, "tokenizer.ggml.add_bos_token") is False


def test_every_byte_is_a_token(reader: GGUFReader) -> None:
    alphabet = {token for token in _strings(reader, "tokenizer.ggml.tokens") if len(token) == 1}
    assert len(alphabet) >= 256
    assert _gpt2_alphabet() <= alphabet


def test_every_merge_makes_a_token_of_tokens(reader: GGUFReader) -> None:
    tokens = set(_strings(reader, "tokenizer.ggml.tokens"))
    for merge in _strings(reader, "tokenizer.ggml.merges"):
        left, right = merge.split(" ")
        assert {left, right, left + right} <= tokens


def test_matrices_are_q8_and_vectors_are_f32(reader: GGUFReader) -> None:
    for tensor in reader.tensors:
        expected = "F32" if len(tensor.shape) == 1 else "Q8_0"
        assert tensor.tensor_type.name == expected, tensor.name


def _gpt2_alphabet() -> set[str]:
    """The 256 printable stand-ins of GPT-2: what prints stands for itself, the rest moves up from 256."""
    printing = {*range(33, 127), *range(161, 173), *range(174, 256)}
    return {chr(byte) for byte in printing} | {chr(256 + i) for i in range(256 - len(printing))}
