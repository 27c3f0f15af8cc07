"""A model that does not fit is refused with the numbers, and with what would fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorllama.native.gguf import read_gguf
from actorllama.native.memory_estimate import DeviceRoom, estimate_memory
from actorllama.native.memory_fit import Fit, what_fits
from actorllama.native.memory_footprint import ModelFootprint, read_footprint
from actorllama.native.options import ContextOptions, ModelOptions
from actorllama.testing.random_models import write_random_model

MIB = 1 << 20
LAYOUT = ContextOptions(n_seq=8, ctx_per_seq=4096, n_ubatch=32)


@pytest.fixture
def footprint(tmp_path: Path) -> ModelFootprint:
    return read_footprint(read_gguf(write_random_model(tmp_path / "x.gguf", "qwen3")))


def needed(footprint: ModelFootprint, layout: ContextOptions = LAYOUT) -> int:
    return estimate_memory(footprint, layout).total_bytes


def test_what_fits_is_not_refused(footprint: ModelFootprint) -> None:
    fit = what_fits(footprint, LAYOUT, host_free_bytes=needed(footprint))
    assert fit.is_fitting
    assert fit.error("x.gguf") is None
    assert fit.alternatives == ()
    assert what_fits(footprint, LAYOUT).is_fitting  # nobody said how much is free


def test_a_refusal_names_what_is_needed_what_is_free_and_what_would_fit(footprint: ModelFootprint) -> None:
    fit = what_fits(footprint, LAYOUT, host_free_bytes=12 * MIB)
    error = fit.error("models/x.gguf")
    assert error is not None
    assert error.path == "models/x.gguf"
    words = str(error)
    for part in ("host would hold 1", "KV cells 16.0 MiB", "compute buffer", "has 12.0 MiB free"):
        assert part in words
    assert words.endswith(
        "This fits: type_k = type_v = 'q8_0' with flash_attention (faithful, not exact); "
        "or n_seq = 4; or ctx_per_seq = 2560."
    )


def test_heads_that_make_no_whole_blocks_are_offered_no_smaller_cells(tmp_path: Path) -> None:
    narrow = read_footprint(read_gguf(write_random_model(tmp_path / "n.gguf", "llama")))
    fit = what_fits(narrow, LAYOUT, host_free_bytes=needed(narrow) - 1)
    assert [alternative.words for alternative in fit.alternatives] == ["n_seq = 7", "ctx_per_seq = 3840"]


def test_each_alternative_fits_and_the_next_larger_does_not(footprint: ModelFootprint) -> None:
    free = 14 * MIB
    fit = what_fits(footprint, LAYOUT, host_free_bytes=free)
    for alternative in fit.alternatives:
        assert needed(footprint, alternative.context) <= free
    by_seq = next(a.context for a in fit.alternatives if a.context.n_seq != LAYOUT.n_seq)
    by_length = next(a.context for a in fit.alternatives if a.context.ctx_per_seq != LAYOUT.ctx_per_seq)
    assert by_seq.ctx_per_seq == LAYOUT.ctx_per_seq
    more = ContextOptions(n_seq=by_seq.n_seq + 1, ctx_per_seq=4096, n_ubatch=32)
    longer = ContextOptions(n_seq=8, ctx_per_seq=by_length.ctx_per_seq + 256, n_ubatch=32)
    assert needed(footprint, more) > free
    assert needed(footprint, longer) > free


def test_where_nothing_fits_the_refusal_says_so(footprint: ModelFootprint) -> None:
    fit = what_fits(footprint, ContextOptions(n_seq=1, ctx_per_seq=8), host_free_bytes=1000)
    assert fit.alternatives == ()
    assert "Nothing of it fits" in str(fit.error("x"))


def test_a_gpu_that_is_too_small_is_named_and_fewer_layers_may_fit(footprint: ModelFootprint) -> None:
    gpus = (DeviceRoom(name="CUDA0", free_bytes=12 * MIB),)
    fit = what_fits(footprint, LAYOUT, ModelOptions(), gpus=gpus, gpu_overhead_bytes=MIB)
    assert [short.name for short in fit.shortages] == ["CUDA0"]
    fewer = [a.model.n_gpu_layers for a in fit.alternatives if a.model != ModelOptions()]
    assert fewer == [2]  # the output and one of two layers
    again = what_fits(footprint, LAYOUT, ModelOptions(n_gpu_layers=2), gpus=gpus, gpu_overhead_bytes=MIB)
    assert again.is_fitting


def test_a_device_without_a_shortage_is_not_named(footprint: ModelFootprint) -> None:
    gpus = (DeviceRoom(name="CUDA0", free_bytes=999 * MIB),)
    fit: Fit = what_fits(footprint, LAYOUT, host_free_bytes=1, gpus=gpus)
    assert [short.name for short in fit.shortages] == ["host"]
