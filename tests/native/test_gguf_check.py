from __future__ import annotations

import struct
from pathlib import Path

import gguf
import pytest
from attrs import evolve

from actorllama.errors import ModelLoadError
from actorllama.native.families import (
    ARCHITECTURES,
    EQUAL_HEADS,
    FUZZED,
    HEADS_FILL_WIDTH,
    HYBRID,
    MAMBA2,
    RECURRENT,
    REFUSED,
    ROTATES_WHOLE_HEAD,
    SLIDING_WINDOW,
)
from actorllama.native.gguf import read_gguf
from actorllama.native.gguf_check import check_loadable
from actorllama.native.gguf_types import ValueType
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_raw import RawEntry, RawGguf, changed, retyped, with_key, without_tensor
from actorllama.testing.random_shapes import SHAPES, ShapeName

STORIES = Path(__file__).parents[2].parent / "shared/models/stories260K.gguf"
TINY: tuple[ShapeName, ...] = tuple(name for name in SHAPES if name not in {"15m", "0.5b"})


def u32(value: int) -> tuple[ValueType, bytes]:
    return ValueType.UINT32, struct.pack("<I", value)


def f32(value: float) -> tuple[ValueType, bytes]:
    return ValueType.FLOAT32, struct.pack("<f", value)


def text(value: bytes) -> tuple[ValueType, bytes]:
    return ValueType.STRING, struct.pack("<Q", len(value)) + value


def u16(value: int) -> tuple[ValueType, bytes]:
    return ValueType.UINT16, struct.pack("<H", value)


def flag(value: int) -> tuple[ValueType, bytes]:
    return ValueType.BOOL, bytes([value])


def with_array(path: Path, key: str, kind: ValueType, values: list[bytes]) -> Path:
    def change(raw: RawGguf) -> None:
        payload = b"".join(values)
        entry = RawEntry(key=key.encode(), kind=int(kind), is_array=True, n=len(values), payload=payload)
        raw.entries = [*(other for other in raw.entries if other.key != entry.key), entry]

    return changed(path, change)


def strings(*values: bytes) -> list[bytes]:
    return [struct.pack("<Q", len(value)) + value for value in values]


def refusal(path: Path) -> ModelLoadError:
    with pytest.raises(ModelLoadError) as caught:
        check_loadable(read_gguf(path))
    return caught.value


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_random_model(tmp_path / "tiny.gguf", evolve(SHAPES["llama"], n_vocab=300))


@pytest.mark.parametrize("name", TINY)
def test_every_family_passes(name: ShapeName, tmp_path: Path) -> None:
    file = read_gguf(write_random_model(tmp_path / "x.gguf", name))
    assert check_loadable(file) == (file,)


@pytest.mark.skipif(not STORIES.exists(), reason="needs the shared model")
@pytest.mark.model
def test_a_real_model_passes() -> None:
    check_loadable(read_gguf(STORIES))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("general.architecture", None, "it does not name its architecture"),
        (
            "general.architecture",
            text(b"gpt5"),
            "its architecture 'gpt5' is not known to this llama.cpp build",
        ),
        ("general.architecture", u32(1), "general.architecture is of type UINT32 and must be one STRING"),
        ("llama.block_count", None, "llama.block_count is missing"),
        ("llama.block_count", u32(0), "llama.block_count is 0 and must be within 1 and 512"),
        ("llama.block_count", u32(513), "llama.block_count is 513 and must be within 1 and 512"),
        ("llama.block_count", f32(2), "llama.block_count is of type FLOAT32 and must be one UINT32"),
        ("llama.block_count", text(b"2"), "llama.block_count is of type STRING and must be one UINT32"),
        ("llama.nextn_predict_layers", u32(2), "llama.nextn_predict_layers is 2 and must be within 0 and 1"),
        ("llama.context_length", None, "llama.context_length is missing"),
        ("llama.context_length", u32(0), "llama.context_length is 0"),
        ("llama.context_length", u32(0xFFFFFFFF), "llama.context_length is 4294967295"),
        ("llama.embedding_length", u32(0), "llama.embedding_length is 0"),
        ("llama.embedding_length", u32(96), "its token embedding has the shape (64, 300), and 300 tokens of"),
        ("llama.attention.head_count", None, "llama.attention.head_count is missing or 0"),
        ("llama.attention.head_count", u32(0), "llama.attention.head_count is missing or 0"),
        ("llama.attention.head_count", u32(5), "layer 0 has 5 heads, which 2 KV heads cannot serve evenly"),
        (
            "llama.attention.head_count_kv",
            u32(3),
            "layer 0 has 4 heads, which 3 KV heads cannot serve evenly",
        ),
        ("llama.attention.head_count_kv", u32(0), "layer 0 has 4 heads and no KV head"),
        ("llama.attention.key_length", u32(0), "llama.attention.key_length is 0"),
        ("llama.attention.key_length", u32(32), "its heads have keys of width 32 and values of width 16"),
        (
            "llama.rope.dimension_count",
            u32(0),
            "llama.rope.dimension_count is 0: no even number within a head",
        ),
        (
            "llama.rope.dimension_count",
            u32(7),
            "llama.rope.dimension_count is 7: no even number within a head",
        ),
        (
            "llama.rope.dimension_count",
            u32(8),
            "llama.rope.dimension_count is 8 and must be the whole head, 16",
        ),
        ("llama.rope.dimension_count", u32(1 << 30), "llama.rope.dimension_count is 1073741824: no even"),
        ("llama.rope.freq_base", f32(0.0), "llama.rope.freq_base is 0.0 and must be a number within 1.0"),
        ("llama.rope.freq_base", f32(float("nan")), "llama.rope.freq_base is nan"),
        ("llama.rope.freq_base", f32(float("inf")), "llama.rope.freq_base is inf"),
        (
            "llama.rope.scaling.type",
            text(b"fancy"),
            "its rope scaling is 'fancy', and this build knows linear",
        ),
        ("llama.rope.scaling.factor", f32(-1.0), "llama.rope.scaling.factor is -1.0"),
        (
            "llama.attention.layer_norm_rms_epsilon",
            f32(-1.0),
            "llama.attention.layer_norm_rms_epsilon is -1.0",
        ),
        (
            "llama.attention.layer_norm_rms_epsilon",
            f32(float("nan")),
            "llama.attention.layer_norm_rms_epsilon",
        ),
        ("llama.attention.causal", flag(0), "it attends to later tokens too"),
        ("llama.attention.causal", u32(0), "llama.attention.causal is of type UINT32 and must be one BOOL"),
        ("llama.pooling_type", u32(9), "llama.pooling_type is 9"),
        ("llama.expert_used_count", u32(2), "2 of 0 experts are used at a time"),
        ("llama.expert_count", u32(8), "0 of 8 experts are used at a time"),
        ("llama.expert_count", u32(1025), "llama.expert_count is 1025"),
        ("llama.expert_group_count", u32(4), "0 experts cannot form 4 groups"),
        ("tokenizer.ggml.model", None, "it has no vocabulary"),
        ("tokenizer.ggml.tokens", None, "it has no vocabulary"),
        (
            "tokenizer.ggml.model",
            text(b"magic"),
            "its tokeniser 'magic' is not known to this llama.cpp build",
        ),
        ("tokenizer.ggml.model", text(b"no_vocab"), "it has no vocabulary"),
        ("tokenizer.ggml.model", text(b"bert"), "its tokeniser is made for embeddings"),
        ("tokenizer.ggml.model", text(b"llama"), "162 of 256 bytes have no token in its vocabulary"),
        ("tokenizer.ggml.merges", None, "the merges of its vocabulary are missing"),
        (
            "tokenizer.ggml.eos_token_id",
            u32(10**9),
            "tokenizer.ggml.eos_token_id is 1000000000, and the vocabula",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            u32(300),
            "tokenizer.ggml.bos_token_id is 300, and the vocabulary has 300",
        ),
        ("tokenizer.ggml.eot_token_id", u32(0xFFFFFFFF), "tokenizer.ggml.eot_token_id is 4294967295"),
        ("tokenizer.ggml.eos_token_id", f32(1.0), "tokenizer.ggml.eos_token_id is of type FLOAT32"),
        ("tokenizer.ggml.add_bos_token", u32(1), "tokenizer.ggml.add_bos_token is of type UINT32"),
        ("general.type", text(b"adapter"), "it is an adapter (LoRA), not a model"),
        ("general.type", text(b"mmproj"), "it is the projector of a multimodal model"),
        ("general.type", text(b"imatrix"), "it is an importance matrix for quantising"),
        ("split.count", u32(2), "split.count is of type UINT32 and must be one UINT16"),
        ("split.count", u16(2), "it is one of 2 parts, and its name does not say which"),
    ],
)
def test_a_wrong_value_is_named(
    key: str, value: tuple[ValueType, bytes] | None, reason: str, tiny: Path
) -> None:
    assert refusal(with_key(tiny, key, value)).reason.startswith(reason)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokenizer.ggml.padding_token_id", u32(0xFFFFFFFF)),
        ("llama.attention.key_length", None),
        ("llama.attention.head_count_kv", u32(4)),
        ("llama.rope.scaling.type", text(b"yarn")),
        ("general.author", text(b"J\xf6rg")),
        ("general.type", text(b"model")),
        ("split.count", u16(1)),
        ("unknown.key", u32(1)),
    ],
)
def test_a_value_that_does_no_harm_passes(
    key: str, value: tuple[ValueType, bytes] | None, tiny: Path
) -> None:
    check_loadable(read_gguf(with_key(tiny, key, value)))


def test_an_encoder_is_refused_with_what_to_load(tiny: Path) -> None:
    error = refusal(with_key(tiny, "general.architecture", text(b"bert")))
    assert "no conversation can be held with a 'bert'" in str(error)
    assert "load a language model instead" in str(error)


def test_a_projector_is_refused_with_what_to_load(tiny: Path) -> None:
    assert "load the language model that it came with" in str(
        refusal(with_key(tiny, "general.architecture", text(b"clip")))
    )


def test_a_vocabulary_alone_is_refused(tiny: Path) -> None:
    def change(raw: RawGguf) -> None:
        raw.tensors = []

    assert "only a vocabulary" in refusal(changed(tiny, change)).reason


def test_a_token_that_is_there_twice_is_refused(tiny: Path) -> None:
    def change(raw: RawGguf) -> None:
        tokens = next(entry for entry in raw.entries if entry.key == b"tokenizer.ggml.tokens")
        assert tokens.strings is not None
        twice = strings(*tokens.strings[:-1], tokens.strings[0])
        raw.entries = [
            evolve(entry, payload=b"".join(twice)) if entry is tokens else entry for entry in raw.entries
        ]

    assert refusal(changed(tiny, change)).reason == "1 tokens are in its vocabulary twice"


def test_tokens_that_c_would_cut_to_the_same_text_are_refused(tiny: Path) -> None:
    names = [b"x\0%d" % index for index in range(300)]
    path = with_array(tiny, "tokenizer.ggml.tokens", ValueType.STRING, strings(*names))
    assert refusal(path).reason == "299 tokens are in its vocabulary twice"


@pytest.mark.parametrize(
    ("key", "kind", "n"),
    [
        ("tokenizer.ggml.token_type", ValueType.INT32, 299),
        ("tokenizer.ggml.token_type", ValueType.UINT32, 300),
        ("tokenizer.ggml.scores", ValueType.FLOAT32, 1),
        ("tokenizer.ggml.scores", ValueType.UINT32, 300),
    ],
)
def test_a_table_that_does_not_fit_the_tokens_is_refused(
    key: str, kind: ValueType, n: int, tiny: Path
) -> None:
    assert refusal(with_array(tiny, key, kind, [bytes(4)] * n)).reason.startswith(f"{key} has {n} elements")


def test_tokens_that_are_no_strings_are_refused(tiny: Path) -> None:
    path = with_array(tiny, "tokenizer.ggml.tokens", ValueType.UINT32, [bytes(4)] * 300)
    assert "its vocabulary of 300 elements of type UINT32 is none" in refusal(path).reason


def test_per_layer_settings_must_be_one_for_each_layer(tiny: Path) -> None:
    path = with_array(tiny, "llama.attention.head_count", ValueType.UINT32, [struct.pack("<I", 4)] * 3)
    assert "llama.attention.head_count has 3 elements for 2 layers" in refusal(path).reason


def test_a_model_without_its_embedding_is_refused(tiny: Path) -> None:
    assert refusal(without_tensor(tiny, "token_embd.weight")).reason == "it has no token embedding"


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("output_norm.weight", 1, "tensor output_norm.weight is stored as F16 and must be F32"),
        (
            "blk.0.attn_q.weight",
            26,
            "tensor blk.0.attn_q.weight is stored as I32, in which no weights are kept",
        ),
        ("blk.0.attn_q.weight", 28, "tensor blk.0.attn_q.weight is stored as F64"),
        ("token_embd.weight", 9, "tensor token_embd.weight is stored as Q8_1"),
    ],
)
def test_a_tensor_of_a_type_that_no_operator_takes_is_refused(
    name: str, kind: int, reason: str, tiny: Path
) -> None:
    def change(raw: RawGguf) -> None:
        raw.tensors = [
            retyped(tensor, kind) if tensor.name == name.encode() else tensor for tensor in raw.tensors
        ]

    assert refusal(changed(tiny, change)).reason.startswith(reason)


@pytest.mark.parametrize(
    ("family", "key", "value", "reason"),
    [
        (
            "qwen2",
            "qwen2.attention.head_count",
            u32(8),
            "its 8 heads of width 16 do not make its width of 64",
        ),
        ("jamba", "jamba.ssm.inner_size", u32(64), "its state space of 64 is not twice its width of 64"),
        ("mamba", "mamba.ssm.state_size", u32(0), "a size of its state space is 0 or missing"),
        ("mamba", "mamba.ssm.conv_kernel", None, "a size of its state space is 0 or missing"),
        ("falcon-h1", "falcon-h1.ssm.group_count", u32(0), "its state space of 128 cannot form 0 groups"),
        (
            "granitehybrid",
            "granitehybrid.ssm.group_count",
            u32(3),
            "its state space of 128 cannot form 3 groups",
        ),
        ("lfm2", "lfm2.shortconv.l_cache", u32(1), "lfm2.shortconv.l_cache is 1 and must be at least 2"),
        (
            "gemma3",
            "gemma3.attention.sliding_window_pattern",
            u32(1),
            "it has a window of 32 tokens and no layer",
        ),
    ],
)
def test_what_only_one_family_asserts_is_asked_of_it(
    family: ShapeName, key: str, value: tuple[ValueType, bytes] | None, reason: str, tmp_path: Path
) -> None:
    path = write_random_model(tmp_path / "x.gguf", family)
    assert refusal(with_key(path, key, value)).reason.startswith(reason)


def test_a_state_space_without_its_bias_is_refused(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", "falcon-h1")
    assert refusal(without_tensor(path, "blk.0.ssm_conv1d.bias")).reason == (
        "tensor blk.0.ssm_conv1d.bias is missing"
    )


def test_the_tables_of_architectures_fit_together() -> None:
    assert not ARCHITECTURES & REFUSED.keys()
    for table in (RECURRENT, HYBRID, FUZZED, EQUAL_HEADS, HEADS_FILL_WIDTH, MAMBA2, ROTATES_WHOLE_HEAD):
        assert table <= ARCHITECTURES
    assert SLIDING_WINDOW.keys() <= ARCHITECTURES


def test_the_architectures_are_those_of_the_gguf_package_and_newer() -> None:
    known = set(gguf.MODEL_ARCH_NAMES.values()) - {"mmproj"}
    assert known <= ARCHITECTURES | REFUSED.keys()
