from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from attrs import evolve

from actorllama.native.gguf import read_gguf
from actorllama.native.gguf_types import ValueType
from actorllama.native.probe import ProbeOptions, ProbeResult, needs_probe, probe_model
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_raw import with_key
from actorllama.testing.random_shapes import SHAPES, ShapeName


def with_number(path: Path, key: str, value: int) -> Path:
    return with_key(path, key, (ValueType.UINT32, struct.pack("<I", value)))


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gemma3", "mamba", "falcon-h1"])
@pytest.mark.parametrize("is_decoding", [False, True])
def test_a_good_model_passes(name: ShapeName, is_decoding: bool, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", name)
    result = probe_model(path, ProbeOptions(is_decoding=is_decoding, n_seq=2))
    assert (result.outcome, result.reason) == ("ok", "")
    assert result.error() is None
    assert result.wall_s > 0


@pytest.mark.model
@pytest.mark.slow
def test_options_of_the_context_are_tried(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", "qwen3")
    options = ProbeOptions(type_k="Q8_0", type_v="Q8_0", is_flash_attention=True, is_unified=True, n_seq=4)
    assert probe_model(path, options).outcome == "ok"


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("is_decoding", [False, True])
def test_a_model_that_makes_llama_cpp_abort_is_told_by_its_last_words(
    is_decoding: bool, tmp_path: Path
) -> None:
    path = with_number(write_random_model(tmp_path / "x.gguf", "qwen2"), "qwen2.attention.head_count", 8)
    result = probe_model(path, ProbeOptions(is_decoding=is_decoding))
    assert result.outcome == "aborted"
    assert result.reason.startswith("llama.cpp aborted: ggml.c:")
    assert "GGML_ASSERT" in result.reason
    error = result.error()
    assert error is not None
    assert error.path == str(path)


@pytest.mark.model
@pytest.mark.slow
def test_a_model_that_llama_cpp_refuses_is_told_by_its_reason(tmp_path: Path) -> None:
    path = with_number(write_random_model(tmp_path / "x.gguf", "llama"), "llama.block_count", 3)
    result = probe_model(path)
    assert result.outcome == "refused"
    assert "blk.2.attn_norm.weight" in result.reason


@pytest.mark.model
@pytest.mark.slow
def test_a_missing_file_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    assert probe_model(tmp_path / "nowhere.gguf").outcome == "refused"


@pytest.mark.model
@pytest.mark.slow
def test_a_child_that_hangs_is_ended(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "x.gguf", "llama")
    result = probe_model(path, timeout_s=0.01)
    assert result.outcome == "timed_out"
    assert result.reason == "llama.cpp was not done with it after 0.01 s"


def test_where_no_process_can_be_started_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    result = probe_model(tmp_path / "x.gguf")
    assert result.outcome == "not_tried"
    assert result.error() is None


def test_a_child_that_says_nothing_understandable_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho hello\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    assert probe_model(tmp_path / "x.gguf").reason == "llama.cpp refuses it"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -SEGV $$", "llama.cpp aborted: killed by SIGSEGV"),
        ("exit 3", "llama.cpp aborted: exit code 3"),
        ("echo strange >&2; exit 3", "llama.cpp aborted: strange"),
    ],
)
def test_a_child_that_dies_without_an_assertion_is_told_too(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    result = probe_model(tmp_path / "x.gguf")
    assert (result.outcome, result.reason) == ("aborted", reason)


def test_what_was_fuzzed_needs_no_probe_and_what_was_not_does(tmp_path: Path) -> None:
    file = read_gguf(write_random_model(tmp_path / "x.gguf", "llama"))
    assert not needs_probe(file)
    assert needs_probe(evolve(file, metadata={**file.metadata, "general.architecture": "deepseek4"}))


def test_a_result_without_a_fault_is_no_error() -> None:
    assert ProbeResult(path="x", outcome="ok", reason="", wall_s=0.1).error() is None


def test_every_fuzzed_architecture_has_a_random_model() -> None:
    assert {shape.architecture for shape in SHAPES.values()} >= {"llama", "gemma3", "mamba", "lfm2"}
