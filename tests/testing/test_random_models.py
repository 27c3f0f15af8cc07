from __future__ import annotations

import ctypes
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import pytest
from attrs import evolve, frozen
from numpy.typing import NDArray

from actorllama.testing.random_models import cached_random_model, write_random_model
from actorllama.testing.random_shapes import SHAPES, ShapeName, WeightType, shape_named
from actorllama.testing.random_vocabulary import CHATML_TEMPLATE, byte_level_vocabulary

pytestmark = pytest.mark.model

TINY: tuple[ShapeName, ...] = tuple(name for name in SHAPES if name not in {"15m", "0.5b"})
TEXT = "héllo wörld, the quick\n\x00 brown fox 😀"


@frozen(kw_only=True)
class Tried:
    """What llama.cpp made of a model and a text."""

    tokens: list[int]
    text_again: str
    logits: NDArray[np.float32]
    greedy: list[int]


def try_in_llama(path: Path, *, text: str = TEXT, n_greedy: int = 16) -> Tried:
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
    assert model is not None
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_threads, options.n_threads_batch = 256, 1, 1
    context = llama_cpp.llama_init_from_model(model, options)
    assert context is not None
    try:
        vocabulary = llama_cpp.llama_model_get_vocab(model)
        assert vocabulary is not None
        n_vocab = llama_cpp.llama_vocab_n_tokens(vocabulary)
        raw = text.encode()
        room = (llama_cpp.llama_token * 512)()
        n = llama_cpp.llama_tokenize(vocabulary, raw, len(raw), room, 512, False, True)
        buffer = ctypes.create_string_buffer(4096)
        n_bytes = llama_cpp.llama_detokenize(
            vocabulary,
            room,
            n,
            buffer,  # pyright: ignore[reportArgumentType]  # its hint says bytes, but C writes into it
            4096,
            False,
            True,
        )
        assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(room, n)) == 0
        logits = np.zeros(n_vocab, np.float32)
        greedy: list[int] = []
        for _ in range(n_greedy):
            logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (n_vocab,)).copy()
            greedy.append(int(logits.argmax()))
            one = (llama_cpp.llama_token * 1)(greedy[-1])
            assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(one, 1)) == 0
        return Tried(
            tokens=list(room[:n]), text_again=buffer.raw[:n_bytes].decode(), logits=logits, greedy=greedy
        )
    finally:
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)


@pytest.mark.parametrize("name", TINY)
def test_every_family_loads_decodes_and_is_small(name: ShapeName, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "tiny.gguf", name)
    tried = try_in_llama(path)
    assert np.isfinite(tried.logits).all()
    assert path.stat().st_size < 2_000_000


@pytest.mark.parametrize("name", TINY)
def test_text_goes_through_the_vocabulary_and_comes_back(name: ShapeName, tmp_path: Path) -> None:
    tried = try_in_llama(write_random_model(tmp_path / "tiny.gguf", name), n_greedy=0)
    assert tried.text_again == TEXT


@pytest.mark.parametrize("name", TINY)
def test_greedy_decoding_does_not_get_stuck_on_one_token(name: ShapeName, tmp_path: Path) -> None:
    tried = try_in_llama(write_random_model(tmp_path / "tiny.gguf", name))
    assert len(set(tried.greedy)) > 8


@pytest.mark.parametrize("name", TINY)
def test_what_was_said_long_ago_changes_the_next_token(name: ShapeName, tmp_path: Path) -> None:
    """Otherwise a test with a wrong cache would pass."""
    path = write_random_model(tmp_path / "tiny.gguf", name)
    one = try_in_llama(path, text="A" + "the rest is the same " * 4, n_greedy=1)
    other = try_in_llama(path, text="B" + "the rest is the same " * 4, n_greedy=1)
    assert float(np.abs(one.logits - other.logits).max()) > 0.001


@pytest.mark.slow
@pytest.mark.parametrize("name", ["15m", "0.5b"])
def test_a_speed_shape_gives_finite_logits_and_many_tokens(name: ShapeName, tmp_path: Path) -> None:
    tried = try_in_llama(write_random_model(tmp_path / "fast.gguf", name), n_greedy=8)
    assert np.isfinite(tried.logits).all()
    assert len(tried.logits) == 32000
    assert len(set(tried.greedy)) > 4


@pytest.mark.parametrize("weights", ["F32", "F16", "Q8_0", "Q4_0"])
def test_each_weight_type_gives_finite_logits(weights: WeightType, tmp_path: Path) -> None:
    shape = evolve(SHAPES["llama"], weights=weights)
    tried = try_in_llama(write_random_model(tmp_path / "tiny.gguf", shape), n_greedy=4)
    assert np.isfinite(tried.logits).all()


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    one = write_random_model(tmp_path / "1.gguf", "llama", seed=1).read_bytes()
    same = write_random_model(tmp_path / "2.gguf", "llama", seed=1).read_bytes()
    other = write_random_model(tmp_path / "3.gguf", "llama", seed=2).read_bytes()
    assert one == same
    assert one != other


def test_a_byte_is_its_own_token(tmp_path: Path) -> None:
    shape = evolve(SHAPES["llama"], n_vocab=260)
    tried = try_in_llama(write_random_model(tmp_path / "bytes.gguf", shape), text=TEXT, n_greedy=0)
    assert tried.tokens == list(TEXT.encode())


def test_special_tokens_are_read_as_such(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "tiny.gguf", "llama")
    assert try_in_llama(path, text="<|im_start|>a<|im_end|>", n_greedy=0).tokens == [258, ord("a"), 259]


def test_the_chat_template_is_in_the_metadata_only_when_given(tmp_path: Path) -> None:
    without = gguf.GGUFReader(write_random_model(tmp_path / "1.gguf", "llama"))
    given = gguf.GGUFReader(write_random_model(tmp_path / "2.gguf", "llama", chat_template=CHATML_TEMPLATE))
    found = given.get_field("tokenizer.chat_template")
    assert without.get_field("tokenizer.chat_template") is None
    assert found is not None
    assert found.contents() == CHATML_TEMPLATE


def test_a_cached_model_is_written_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    path = cached_random_model(tmp_path / "cache", "llama")
    first = path.stat()
    assert cached_random_model(tmp_path / "cache", "llama") == path
    assert path.stat() == first
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert cached_random_model(tmp_path / "cache", "llama").read_bytes() == whole
    assert [path] == list((tmp_path / "cache").iterdir())


def test_cached_models_of_other_seeds_templates_and_shapes_lie_side_by_side(tmp_path: Path) -> None:
    paths = {
        cached_random_model(tmp_path, "llama"),
        cached_random_model(tmp_path, "llama", seed=1),
        cached_random_model(tmp_path, "llama", chat_template=CHATML_TEMPLATE),
        cached_random_model(tmp_path, evolve(SHAPES["llama"], n_layer=3)),
        cached_random_model(tmp_path, "qwen2"),
    }
    assert len(paths) == 5


def test_a_failed_write_leaves_nothing_behind_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "tiny.gguf"
    target.write_bytes(b"old")
    with pytest.raises(ValueError, match="n_tokens must be at least 260"):
        write_random_model(target, evolve(SHAPES["llama"], n_vocab=10))
    assert [target] == list(tmp_path.iterdir())
    assert target.read_bytes() == b"old"


def test_an_unknown_shape_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no shape is named 'gpt5'; there are: llama"):
        shape_named("gpt5")


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot write 'rwkv7'"):
        write_random_model(tmp_path / "x.gguf", evolve(SHAPES["llama"], architecture="rwkv7"))


@pytest.mark.parametrize("n_tokens", [260, 300, 512, 32000])
def test_a_vocabulary_has_the_size_asked_for_and_no_token_twice(n_tokens: int) -> None:
    vocabulary = byte_level_vocabulary(n_tokens)
    assert len(vocabulary.tokens) == len(set(vocabulary.tokens)) == n_tokens == len(vocabulary.token_types)


def test_a_vocabulary_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="n_tokens must be at most"):
        byte_level_vocabulary(1_000_000)
