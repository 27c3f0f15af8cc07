from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Literal

import llama_cpp
import pytest
from attrs import evolve

from actorllama.errors import ModelLoadError
from actorllama.native.gguf import read_gguf
from actorllama.native.gguf_check import check_loadable
from actorllama.native.gguf_facts import GgufFacts, read_facts
from actorllama.native.gguf_fingerprint import fingerprint
from actorllama.native.gguf_types import TENSOR_TYPES
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_shapes import SHAPES, ShapeName
from actorllama.testing.random_vocabulary import CHATML_TEMPLATE

TINY: tuple[ShapeName, ...] = tuple(name for name in SHAPES if name not in {"15m", "0.5b"})
TYPE_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}
CELL_BYTES = 12  # position, number of sequences, sequence: llama.cpp's own bookkeeping for each token


def facts_of(path: Path, shape: ShapeName) -> GgufFacts:
    return read_facts(read_gguf(write_random_model(path / "x.gguf", shape)))


def state_bytes(path: Path, n_tokens: int, *, cache_type: str = "F16") -> int:
    """Ask llama.cpp how large a sequence of so many tokens is."""
    check_loadable(read_gguf(path))
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    assert model is not None
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_threads, options.n_threads_batch = 512, 1, 1
    options.type_k = options.type_v = TYPE_NUMBERS[cache_type]
    options.flash_attn_type = 1
    context = llama_cpp.llama_init_from_model(model, options)
    assert context is not None
    try:
        tokens = (llama_cpp.llama_token * n_tokens)(*range(n_tokens))
        assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, n_tokens)) == 0
        return int(llama_cpp.llama_state_seq_get_size(context, ctypes.c_int32(0)))
    finally:
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)


def test_the_facts_are_those_of_the_shape(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "y.gguf", "llama", chat_template=CHATML_TEMPLATE, name="Tiny")
    facts = read_facts(read_gguf(path))
    assert (facts.architecture, facts.family, facts.name, facts.licence) == (
        "llama",
        "dense",
        "Tiny",
        "CC0-1.0",
    )
    assert (facts.n_layer, facts.n_embd, facts.n_vocab, facts.n_ctx_train) == (2, 64, 512, 4096)
    assert (facts.layers.heads, facts.layers.heads_kv) == ((4, 4), (2, 2))
    assert (facts.key_width, facts.value_width) == (16, 16)
    assert facts.n_parameters == 139_584
    assert facts.weights_bytes == sum(facts.bytes_per_type.values()) == 149_248
    assert list(facts.bytes_per_type) == ["Q8_0", "F32"]
    assert facts.chat_template == CHATML_TEMPLATE
    assert facts_of(tmp_path, "llama").chat_template is None


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("llama", "dense"),
        ("qwen2", "dense"),
        ("qwen3", "dense"),
        ("gemma3", "sliding_window"),
        ("mamba", "recurrent"),
        ("jamba", "hybrid"),
        ("lfm2", "hybrid"),
        ("falcon-h1", "hybrid"),
        ("granitehybrid", "hybrid"),
    ],
)
def test_each_family_is_told_from_its_metadata(name: ShapeName, family: str, tmp_path: Path) -> None:
    assert facts_of(tmp_path, name).family == family


def test_the_layers_of_a_window_are_those_that_llama_cpp_binds(tmp_path: Path) -> None:
    layers = facts_of(tmp_path, "gemma3").layers
    assert layers.n_swa == 32
    assert layers.is_windowed == (True, True, False, True, True, False)


def test_the_recurrent_layers_of_a_hybrid_keep_no_keys(tmp_path: Path) -> None:
    layers = facts_of(tmp_path, "jamba").layers
    assert layers.is_recurrent == (True, True, False, True)
    assert layers.heads_kv == (0, 0, 2, 0)


@pytest.mark.model
@pytest.mark.parametrize("name", TINY)
def test_the_bytes_of_a_token_are_those_of_llama_cpps_own_state(name: ShapeName, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", name)
    facts = read_facts(read_gguf(path))
    few, many = state_bytes(path, 40), state_bytes(path, 200)
    per_token = facts.kv_bytes_per_token()
    assert many - few == 160 * (per_token + (CELL_BYTES if per_token else 0))


@pytest.mark.model
@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("n_tokens", [8, 200])
def test_the_bytes_of_a_sequence_are_those_of_llama_cpps_own_state(
    name: ShapeName, n_tokens: int, tmp_path: Path
) -> None:
    path = write_random_model(tmp_path / "x.gguf", name)
    facts = read_facts(read_gguf(path))
    predicted = facts.sequence_bytes(n_tokens)
    assert predicted is not None
    n_cells = n_tokens * bool(facts.kv_bytes_per_token()) + min(n_tokens, facts.n_swa)
    rest = state_bytes(path, n_tokens) - predicted - n_cells * CELL_BYTES
    assert 0 <= rest <= 40 * facts.n_layer + 80  # headers of sections and layers


@pytest.mark.model
@pytest.mark.parametrize("cache_type", ["F32", "Q8_0"])
def test_the_bytes_of_a_token_follow_the_caches_type(cache_type: str, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", "qwen3")
    facts = read_facts(read_gguf(path))
    grown = state_bytes(path, 200, cache_type=cache_type) - state_bytes(path, 40, cache_type=cache_type)
    assert grown == 160 * (facts.kv_bytes_per_token(type_k=cache_type, type_v=cache_type) + CELL_BYTES)


def test_cache_types_may_differ_and_are_checked(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "qwen3")
    assert facts.kv_bytes_per_token(type_k="f16", type_v="q8_0") == 2 * 2 * 32 * 2 + 2 * (2 * 32 // 32 * 34)
    with pytest.raises(ValueError, match="there is no tensor type 'Q99'"):
        facts.kv_bytes_per_token(type_k="Q99")
    with pytest.raises(ValueError, match="no whole number of Q4_K blocks"):
        facts.kv_bytes_per_token(type_k="Q4_K")


def test_a_file_that_lacks_what_facts_are_made_of_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + bytes(16))
    with pytest.raises(ModelLoadError, match="does not name its architecture"):
        read_facts(read_gguf(path))


@pytest.mark.parametrize("cover", ["samples", "all"])
def test_a_fingerprint_names_the_content_and_not_the_path(
    cover: Literal["samples", "all"], tmp_path: Path
) -> None:
    one = fingerprint(write_random_model(tmp_path / "1.gguf", "llama"), cover=cover)
    same = fingerprint(write_random_model(tmp_path / "2.gguf", "llama"), cover=cover)
    other = fingerprint(write_random_model(tmp_path / "3.gguf", "llama", seed=1), cover=cover)
    assert one == same
    assert one != other
    assert len(one) == 40


def test_a_fingerprint_by_samples_is_not_one_of_all(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", "llama")
    assert fingerprint(path) != fingerprint(path, cover="all")


def test_a_fingerprint_sees_every_byte_of_a_small_model_and_of_the_header(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", evolve(SHAPES["llama"], n_vocab=300))
    whole = path.read_bytes()
    names = {fingerprint(path)}
    start = read_gguf(path).data_offset
    name_at = whole.index(b"random 1")
    places = [name_at, *range(start, len(whole), len(whole) // 40)]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        names.add(fingerprint(path))
    assert len(names) == len(places) + 1


@pytest.mark.slow
def test_a_fingerprint_of_a_large_model_sees_the_ends_of_each_tensor_quickly(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", "15m")
    before = fingerprint(path)
    tensor = read_gguf(path).tensors["blk.3.ffn_down.weight"]
    with path.open("r+b") as stream:
        stream.seek(tensor.offset + tensor.n_bytes - 1)
        last = stream.read(1)
        stream.seek(tensor.offset + tensor.n_bytes - 1)
        stream.write(bytes([last[0] ^ 1]))
    assert fingerprint(path) != before


def test_a_file_that_is_no_model_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="it is a directory"):
        fingerprint(tmp_path)
