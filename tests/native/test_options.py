"""How models and contexts may be laid out."""

from __future__ import annotations

import pytest
from attrs import evolve

from actorllama.native import ContextOptions, ModelOptions
from actorllama.native.options import KV_TYPES


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"n_seq": 0}, "n_seq"),
        ({"n_seq": 257}, "n_seq"),
        ({"n_seq": True}, "n_seq"),
        ({"ctx_per_seq": 7}, "ctx_per_seq"),
        ({"n_batch": 1}, "n_batch"),
        ({"n_ubatch": 0}, "n_ubatch"),
        ({"n_threads": -1}, "n_threads"),
        ({"layout": "diagonal"}, "layout"),
        ({"type_k": "q3_k"}, "type_k"),
        ({"type_v": 16}, "type_v"),
        ({"flash_attention": 1}, "flash_attention"),
    ],
)
def test_what_llama_cpp_could_not_do_is_refused_by_name(given: dict[str, object], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        evolve(ContextOptions(), **given)  # type: ignore[arg-type]  # bad on purpose


def test_every_kv_type_is_admitted() -> None:
    assert all(ContextOptions(type_k=name).type_k == name for name in KV_TYPES)


@pytest.mark.parametrize(("asked", "padded"), [(8, 256), (256, 256), (257, 512), (2048, 2048)])
def test_cells_are_counted_as_llama_cpp_allocates_them(asked: int, padded: int) -> None:
    options = ContextOptions(n_seq=3, ctx_per_seq=asked)
    assert (options.padded_ctx_per_seq, options.n_ctx) == (padded, 3 * padded)


def test_a_batch_has_room_for_every_sequence_and_a_prompt() -> None:
    """The planner needs three rows beside the decoders that can run while a prompt is computed."""
    widened = ContextOptions(n_seq=64, n_batch=8).with_batch_for_sequences()
    assert widened.n_batch - (widened.n_seq - 1) >= 3
    assert ContextOptions(n_seq=4, n_batch=512).with_batch_for_sequences().n_batch == 512


@pytest.mark.parametrize("given", [{"n_gpu_layers": -2}, {"use_mmap": 1}, {"check_tensors": None}])
def test_model_options_are_checked_too(given: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        evolve(ModelOptions(), **given)  # type: ignore[arg-type]  # bad on purpose
