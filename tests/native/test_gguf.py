from __future__ import annotations

import ctypes
import os
import struct
import time
from pathlib import Path

import gguf
import llama_cpp
import pytest
from attrs import evolve

from actorllama.errors import ModelLoadError
from actorllama.native.gguf import GgufArray, read_gguf
from actorllama.native.gguf_cursor import MAX_HEADER_BYTES
from actorllama.native.gguf_types import TENSOR_TYPES, ValueType
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_shapes import SHAPES
from actorllama.testing.random_vocabulary import CHATML_TEMPLATE
from tests.open_files import open_below

STORIES = Path(__file__).parents[2].parent / "shared/models/stories260K.gguf"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    shape = evolve(SHAPES["llama"], n_vocab=300)
    return write_random_model(tmp_path / "tiny.gguf", shape, chat_template=CHATML_TEMPLATE)


def refusal(path: Path | str) -> str:
    with pytest.raises(ModelLoadError) as caught:
        read_gguf(path)
    assert caught.value.path == str(path)
    return caught.value.reason


def header(*, version: int = 3, n_tensors: int = 0, n_keys: int = 0, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_keys) + rest


def string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def test_metadata_and_tensors_are_what_was_written(tiny: Path) -> None:
    file = read_gguf(tiny)
    assert file.version == 3
    assert file.alignment == 32
    assert file.file_bytes == tiny.stat().st_size
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["llama.block_count"] == 2
    assert file.metadata["tokenizer.ggml.add_bos_token"] is False
    assert file.metadata["tokenizer.chat_template"] == CHATML_TEMPLATE
    assert file.kinds["llama.block_count"] is ValueType.UINT32
    embedding = file.tensors["token_embd.weight"]
    assert embedding.shape == (64, 300)
    assert embedding.type.name == "Q8_0"
    assert embedding.n_elements == 64 * 300
    assert embedding.n_bytes == 64 * 300 // 32 * 34
    assert embedding.offset == file.data_offset


def test_it_agrees_with_the_gguf_packages_reader(tiny: Path) -> None:
    ours = read_gguf(tiny)
    theirs = gguf.GGUFReader(tiny)
    for key, field in theirs.fields.items():
        if not key.startswith("GGUF."):
            value = ours.metadata[key]
            assert field.contents() == (list(value) if isinstance(value, tuple) else value)
    assert [tensor.name for tensor in theirs.tensors] == list(ours.tensors)
    for tensor in theirs.tensors:
        mine = ours.tensors[tensor.name]
        assert (tensor.data_offset, tensor.n_bytes) == (mine.offset, mine.n_bytes)
        assert tuple(int(size) for size in tensor.shape) == mine.shape
        assert tensor.tensor_type.name == mine.type.name


@pytest.mark.skipif(not STORIES.exists(), reason="needs the shared model")
@pytest.mark.model
def test_a_file_of_version_3_from_elsewhere_is_read() -> None:
    file = read_gguf(STORIES)
    assert file.metadata["general.architecture"] == "llama"
    assert "token_embd.weight" in file.tensors


def test_a_short_array_is_a_tuple_and_a_long_one_stays_in_the_file(tmp_path: Path) -> None:
    file = read_gguf(write_random_model(tmp_path / "x.gguf", evolve(SHAPES["llama"], n_vocab=1025)))
    tokens = file.metadata["tokenizer.ggml.tokens"]
    merges = file.metadata["tokenizer.ggml.merges"]
    assert isinstance(tokens, GgufArray)
    assert (tokens.kind, tokens.n) == (ValueType.STRING, 1025)
    assert isinstance(merges, tuple)
    assert len(merges) == 765
    assert file.arrays["tokenizer.ggml.merges"].n == 765


@pytest.mark.slow
def test_a_vocabulary_of_150000_tokens_is_read_in_well_under_a_second(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", evolve(SHAPES["llama"], n_vocab=151_936))
    began_s = time.thread_time()  # of the processor: others may use it, too
    read_gguf(path)
    assert time.thread_time() - began_s < 0.5


def test_our_table_of_tensor_types_is_that_of_the_gguf_package() -> None:
    for kind, sizes in gguf.GGML_QUANT_SIZES.items():
        if kind.name == "Q8_1":  # never in a file; the package gives it two sums of four bytes, ggml of two
            continue
        ours = TENSOR_TYPES[kind.value]
        assert (ours.name, ours.block_weights, ours.block_bytes) == (kind.name, *sizes)


def test_our_table_of_value_types_is_that_of_the_gguf_package() -> None:
    assert {kind.name: kind.value for kind in gguf.GGUFValueType} == {
        kind.name: kind.value for kind in ValueType
    }


@pytest.mark.model
def test_our_table_of_tensor_types_is_that_of_the_library() -> None:
    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib/libggml-base.so"))
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_blck_size.restype = ctypes.c_int64
    for number in range(max(TENSOR_TYPES) + 1):
        kind = TENSOR_TYPES.get(number)
        sizes = (0, 0) if kind is None else (kind.block_weights, kind.block_bytes)
        assert library.ggml_blck_size(number) == sizes[0]
        assert kind is None or library.ggml_type_size(number) == sizes[1]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere.gguf") == "there is no such file"
    assert refusal(tmp_path / "nowhere" / "x.gguf") == "there is no such file"


def test_a_directory_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "it is a directory"


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "it is not a regular file"


def test_a_device_is_refused() -> None:
    assert refusal("/dev/zero") == "it is not a regular file"


def test_an_impossible_path_is_told() -> None:
    assert refusal("x\0y") == "this is no possible path"
    assert refusal("") == "there is no such file"
    assert refusal("x" * 5000)


def test_a_path_through_a_file_is_told(tiny: Path) -> None:
    assert refusal(tiny / "x.gguf") == "Not a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tiny: Path) -> None:
    tiny.chmod(0)
    assert refusal(tiny) == "it may not be read"


def test_a_link_is_followed(tiny: Path) -> None:
    link = tiny.with_name("link.gguf")
    link.symlink_to(tiny)
    assert read_gguf(link).tensors.keys() == read_gguf(tiny).tensors.keys()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"G", "it is not a GGUF file"),
        (b"hello world", "it is not a GGUF file"),
        (b"PK\x03\x04....", "it is not a GGUF file but looks like a zip archive (a PyTorch checkpoint?)"),
        (
            b"version https://git-lfs",
            "it is not a GGUF file but looks like a git-lfs pointer, not the file that",
        ),
        (b"<!DOCTYPE html>", "it is not a GGUF file but looks like a web page"),
        (b"tjgg....", "it is not a GGUF file but looks like an old GGML file"),
        (b"GGUF", "the file ends within the version"),
        (b"GGUF\x00\x00\x00\x03" + bytes(16), "it was written for big-endian machines"),
        (header(version=1), "it has GGUF version 1, and this build reads 2 and 3"),
        (header(version=4), "it has GGUF version 4, and this build reads 2 and 3"),
        (header(version=0), "it has GGUF version 0, and this build reads 2 and 3"),
        (header()[:-1], "the file ends within the number of metadata keys"),
        (header(n_keys=1 << 62), "the file is too short for 4611686018427387904 keys and 0 tensors"),
        (header(n_tensors=1 << 63), "the file is too short for 0 keys and 9223372036854775808 tensors"),
        (
            header(n_keys=1, rest=struct.pack("<Q", 1 << 63) + bytes(20)),
            "the file ends within a metadata key",
        ),
        (header(n_keys=1, rest=string(b"") + bytes(20)), "a metadata key is empty or holds a zero byte"),
        (header(n_keys=1, rest=string(b"a\0b") + bytes(20)), "a metadata key is empty or holds a zero byte"),
        (header(n_keys=1, rest=string(b"\xff\xfe") + bytes(20)), "a metadata key is not UTF-8"),
        (header(n_keys=1, rest=string(b"k") + struct.pack("<I", 99) + bytes(9)), "k has the unknown type 99"),
        (
            header(n_keys=1, rest=string(b"k") + struct.pack("<IIQ", 9, 9, 1) + bytes(9)),
            "k is an array of arrays",
        ),
        (
            header(n_keys=1, rest=string(b"k") + struct.pack("<IIQ", 9, 4, 1 << 61) + bytes(9)),
            "k says that it has 2305843009213693952 elements",
        ),
        (
            header(n_keys=1, rest=string(b"k") + struct.pack("<IIQ", 9, 8, 1) + struct.pack("<Q", 1 << 40)),
            "the file ends within k",
        ),
        (
            header(n_keys=2, rest=(string(b"k") + struct.pack("<IB", 7, 1)) * 2),
            "the key 'k' is there twice",
        ),
        (
            header(n_keys=1, rest=string(b"general.alignment") + struct.pack("<II", 4, 3)),
            "general.alignment is no power of two: 3",
        ),
        (
            header(n_keys=1, rest=string(b"general.alignment") + struct.pack("<II", 4, 0)),
            "general.alignment is no power of two: 0",
        ),
        (
            header(n_keys=1, rest=string(b"general.alignment") + struct.pack("<IQ", 10, 32)),
            "general.alignment is no 32-bit number: 32",
        ),
    ],
)
def test_a_header_that_does_not_hold_together_is_told(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    assert refusal(path).startswith(reason)


def one_tensor(
    name: bytes = b"t", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0, copies: int = 1
) -> bytes:
    entry = (
        string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape) + struct.pack("<IQ", kind, offset)
    )
    start = header(n_tensors=copies, rest=entry * copies)
    return start + bytes(-len(start) % 32) + bytes(4096)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (one_tensor(name=b"x" * 64), "a tensor's name is longer than 63 bytes"),
        (one_tensor(name=b""), "a tensor's name is empty"),
        (one_tensor(copies=2), "the tensor 't' is there twice"),
        (one_tensor(shape=()), "tensor t has 0 dimensions"),
        (one_tensor(shape=(1, 1, 1, 1, 1)), "tensor t has 5 dimensions"),
        (one_tensor(shape=(0,)), "tensor t has the impossible shape (0,)"),
        (one_tensor(shape=(1 << 63,)), "tensor t has the impossible shape"),
        (one_tensor(shape=(1 << 32, 1 << 32)), "tensor t has the impossible shape"),
        (one_tensor(kind=4), "tensor t has type 4, which this llama.cpp build does not know"),
        (one_tensor(kind=999), "tensor t has type 999"),
        (one_tensor(kind=8, shape=(33,)), "tensor t has rows of 33, and Q8_0 has blocks of 32"),
        (one_tensor(offset=32), "tensor t lies at 32 of the data, and 0 is its place"),
        (one_tensor(shape=(2048,)), "the file ends 4096 bytes before the end of tensor t"),
    ],
)
def test_a_tensor_that_cannot_be_is_told(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    assert refusal(path).startswith(reason)


def test_a_tensor_that_can_be_is_read(tmp_path: Path) -> None:
    path = tmp_path / "good.gguf"
    path.write_bytes(one_tensor())
    assert read_gguf(path).tensors["t"].n_bytes == 128


@pytest.mark.slow
def test_a_file_cut_short_within_its_header_is_refused(tiny: Path) -> None:
    whole = tiny.read_bytes()
    last = read_gguf(tiny).data_offset
    cut = tiny.with_name("cut.gguf")
    for n_bytes in (*range(1500), *range(1500, last, 17)):
        cut.write_bytes(whole[:n_bytes])
        assert refusal(cut)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_download_that_stopped_within_the_weights_is_refused(tiny: Path, share: float) -> None:
    whole = tiny.read_bytes()
    tiny.write_bytes(whole[: int(len(whole) * share)])
    assert "the file ends" in refusal(tiny)


def test_absurd_lengths_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    path.write_bytes(header(n_keys=1, rest=string(b"k") + struct.pack("<IQ", 8, MAX_HEADER_BYTES)))
    with path.open("r+b") as stream:
        stream.truncate(1 << 40)  # a sparse file: every length seems to fit
    assert "would make the header longer" in refusal(path)


def test_a_value_that_is_not_utf8_is_shown_and_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(
        header(n_keys=1, rest=string(b"general.author") + struct.pack("<I", 8) + string(b"J\xf6rg"))
    )
    assert read_gguf(path).metadata["general.author"] == "J\ufffdrg"


@pytest.mark.parametrize("content", [b"GGUF\x03\0\0\0", b"XXXX"])
def test_no_file_stays_open_after_a_refusal(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    for _ in range(5):
        refusal(path)
    refusal(tmp_path)
    assert open_below(tmp_path) == []
