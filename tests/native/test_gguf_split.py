from __future__ import annotations

import struct
from pathlib import Path

import pytest
from attrs import evolve

from actorllama.errors import ModelLoadError
from actorllama.native.gguf import read_gguf
from actorllama.native.gguf_check import check_loadable
from actorllama.native.gguf_types import ValueType
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_raw import RawEntry, RawGguf, changed, parse_raw, with_key, without_tensor
from actorllama.testing.random_shapes import SHAPES


def u16(value: int) -> tuple[ValueType, bytes]:
    return ValueType.UINT16, struct.pack("<H", value)


def refusal(path: Path) -> ModelLoadError:
    with pytest.raises(ModelLoadError) as caught:
        check_loadable(read_gguf(path))
    return caught.value


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_random_model(tmp_path / "tiny.gguf", evolve(SHAPES["llama"], n_vocab=300))


def split_model(folder: Path, source: Path) -> list[Path]:
    """Cut a model into two files, as llama-gguf-split does."""
    raw = parse_raw(source.read_bytes())
    half = len(raw.tensors) // 2
    count = RawEntry(key=b"split.count", kind=int(ValueType.UINT16), is_array=False, n=1, payload=b"\2\0")
    total = struct.pack("<i", len(raw.tensors))
    tensors = RawEntry(
        key=b"split.tensors.count", kind=int(ValueType.INT32), is_array=False, n=1, payload=total
    )
    paths: list[Path] = []
    for index, part in enumerate((raw.tensors[:half], raw.tensors[half:])):
        number = evolve(count, key=b"split.no", payload=struct.pack("<H", index))
        entries = [*(raw.entries if index == 0 else []), number, count, tensors]
        path = folder / f"x-{index + 1:05d}-of-00002.gguf"
        path.write_bytes(RawGguf(entries=entries, tensors=list(part)).to_bytes())
        paths.append(path)
    return paths


def test_a_model_in_parts_passes_by_its_first(tiny: Path, tmp_path: Path) -> None:
    first, second = split_model(tmp_path, tiny)
    assert [part.path for part in check_loadable(read_gguf(first))] == [str(first), str(second)]


def test_another_part_than_the_first_is_refused_with_the_firsts_name(tiny: Path, tmp_path: Path) -> None:
    def as_a_model_of_its_own(raw: RawGguf) -> None:
        raw.entries = [*parse_raw(tiny.read_bytes()).entries, *raw.entries]

    _, second = split_model(tmp_path, tiny)
    error = refusal(changed(second, as_a_model_of_its_own))
    assert "it is not the first of its 2 parts" in error.reason
    assert "Load x-00001-of-00002.gguf instead." in str(error)


def test_a_part_that_names_no_architecture_is_refused(tiny: Path, tmp_path: Path) -> None:
    _, second = split_model(tmp_path, tiny)
    assert "does not name its architecture" in refusal(second).reason


def test_a_missing_part_is_told(tiny: Path, tmp_path: Path) -> None:
    first, second = split_model(tmp_path, tiny)
    second.unlink()
    error = refusal(first)
    assert error.path == str(second)
    assert error.reason == "there is no such file"


def test_a_part_of_another_place_is_told(tiny: Path, tmp_path: Path) -> None:
    first, second = split_model(tmp_path, tiny)
    with_key(second, "split.no", u16(7))
    assert "x-00002-of-00002.gguf is not part 2 of it" in refusal(first).reason


def test_parts_that_do_not_add_up_are_told(tiny: Path, tmp_path: Path) -> None:
    first, second = split_model(tmp_path, tiny)
    without_tensor(second, "blk.1.ffn_down.weight")
    assert "its parts hold 20 tensors, and 21 were announced" in refusal(first).reason


def test_a_tensor_in_two_parts_is_told(tiny: Path, tmp_path: Path) -> None:
    first, second = split_model(tmp_path, tiny)
    again = parse_raw(first.read_bytes()).tensors[0]
    changed(second, lambda raw: raw.tensors.append(again))
    assert "is in two of its parts" in refusal(first).reason
