"""Two contexts share a namespace only if a state of one is a state of the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from actorllama.engine.namespace import namespace_of, salted, variant
from actorllama.native import ContextOptions, ModelOptions
from actorllama.testing.fake_backend import FakeBackend


def namespace(options: ContextOptions, *, clamped: int | None = None) -> str:
    """Name what a context of these options saves; ``clamped`` is the micro-batch that llama.cpp gave it."""
    backend = FakeBackend()
    model = backend.load(Path("fake.gguf"), ModelOptions(), lambda _fraction: True)
    context = model.open_context(options)
    facts = context.facts if clamped is None else evolve(context.facts, n_ubatch=clamped)
    named = namespace_of(model.facts, facts, options, backend.build_info())
    context.close()
    model.close()
    return named


BASE = ContextOptions(n_seq=4, ctx_per_seq=512)


@pytest.mark.parametrize(
    "same",
    [
        evolve(BASE, n_seq=1),
        evolve(BASE, ctx_per_seq=4096),
        evolve(BASE, n_threads=3),
        evolve(BASE, n_batch=2048),
    ],
    ids=["sequences", "length", "threads", "a longer step"],
)
def test_how_much_a_context_holds_does_not_matter(same: ContextOptions) -> None:
    assert namespace(same) == namespace(BASE)


def test_a_small_context_bounds_no_micro_batch_of_a_sequence_that_it_holds() -> None:
    assert namespace(evolve(BASE, n_seq=1, ctx_per_seq=64), clamped=256) == namespace(BASE)


def test_what_shapes_the_cells_is_told_apart() -> None:
    every = [
        BASE,
        evolve(BASE, n_ubatch=64),
        evolve(BASE, flash_attention=True),
        evolve(BASE, layout="shared"),
        evolve(BASE, type_k="q8_0"),
    ]
    named = [namespace(options) for options in every]
    named += [salted(named[0], "tenant"), salted(named[0], "other"), variant(named[0], "lossy")]
    assert len(set(named)) == len(named)
    assert salted(named[0], "") == named[0]


def test_micro_batches_are_as_long_as_steps_at_most() -> None:
    assert namespace(evolve(BASE, n_batch=64)) == namespace(evolve(BASE, n_batch=64, n_ubatch=64))
