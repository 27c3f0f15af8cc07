"""Damaged files, by the hundred here and by the ten thousand with ``-m slow``: none may end the process.

To look for more, raise ``N_MANY``, or start the seeds elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from actorllama.errors import ModelLoadError
from actorllama.native.gguf import read_gguf
from actorllama.native.gguf_check import check_loadable
from actorllama.native.probe import CHILD, ProbeOptions, child_environment
from actorllama.testing.random_damage import damaged
from actorllama.testing.random_models import write_random_model
from actorllama.testing.random_shapes import SHAPES, ShapeName

pytestmark = [pytest.mark.model, pytest.mark.slow]

TINY: tuple[ShapeName, ...] = tuple(name for name in SHAPES if name not in {"15m", "0.5b"})
N_FEW = 150
N_MANY = 150
FOREIGN_KEYS_NAMES = """
    attention.causal attention.clamp_kqv attention.group_norm_epsilon attention.key_length_mla
    attention.key_length_swa attention.layer_norm_epsilon attention.max_alibi_bias attention.scale
    attention.shared_kv_layers attention.sliding_window attention.sliding_window_pattern
    attention.value_length_swa attn_logit_softcapping embedding_length_out embedding_scale expert_count
    expert_gating_func expert_group_count expert_used_count final_logit_softcapping
    full_attention_interval leading_dense_block_count logit_scale nextn_predict_layers pooling_type
    residual_scale rope.dimension_count_swa rope.dimension_sections rope.freq_base_swa
    rope.scaling.factor rope.scaling.type shortconv.l_cache ssm.conv_kernel ssm.dt_b_c_rms
    ssm.group_count ssm.inner_size ssm.state_size ssm.time_step_rank use_parallel_residual vocab_size
    wkv.head_size
"""
FOREIGN_KEYS = tuple(FOREIGN_KEYS_NAMES.split())
GENERAL_KEYS_NAMES = """
    general.alignment general.file_type general.type split.count split.no split.tensors.count
    tokenizer.ggml.add_eos_token tokenizer.ggml.add_space_prefix tokenizer.ggml.eom_token_id
    tokenizer.ggml.padding_token_id tokenizer.ggml.pre tokenizer.ggml.token_type_count
    tokenizer.ggml.unknown_token_id
"""
GENERAL_KEYS = tuple(GENERAL_KEYS_NAMES.split())


class Child:
    """One process that tries files until one ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=child_environment(),
        )

    def survives(self, path: Path) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = ProbeOptions(is_decoding=True, n_seq=2, n_batch=128).request(str(path))
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        return bool(line) and "outcome" in json.loads(line)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def child() -> Iterator[Child]:
    process = Child()
    yield process
    process.end()


def keys_of(architecture: str) -> list[str]:
    return [*(f"{architecture}.{key}" for key in FOREIGN_KEYS), *GENERAL_KEYS]


@pytest.mark.parametrize("name", TINY)
def test_no_damage_that_passes_the_check_ends_llama_cpp(
    name: ShapeName, tmp_path: Path, child: Child
) -> None:
    whole = write_random_model(tmp_path / "x.gguf", evolve(SHAPES[name], n_vocab=300)).read_bytes()
    path = tmp_path / "damaged.gguf"
    n_passed = 0
    for seed in range(N_FEW + N_MANY):
        what, content = damaged(whole, seed, foreign_keys=keys_of(SHAPES[name].architecture))
        if seed >= N_FEW and "bytes" not in what:
            what, content = damaged(content, seed + 1, foreign_keys=keys_of(SHAPES[name].architecture))
        path.write_bytes(content)
        try:
            check_loadable(read_gguf(path))
        except ModelLoadError:
            continue
        n_passed += 1
        assert child.survives(path), f"seed {seed}: {what}"
    assert n_passed > (N_FEW + N_MANY) // 10


def test_damages_that_the_check_refuses_do_end_llama_cpp(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    whole = write_random_model(tmp_path / "x.gguf", evolve(SHAPES["qwen2"], n_vocab=300)).read_bytes()
    path = tmp_path / "damaged.gguf"
    n_died = 0
    child = Child()
    for seed in range(200):
        path.write_bytes(damaged(whole, seed)[1])
        if not child.survives(path):
            with pytest.raises(ModelLoadError):
                check_loadable(read_gguf(path))
            n_died += 1
            child.end()
            child = Child()
    child.end()
    assert n_died > 0
