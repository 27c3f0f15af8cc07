"""Spans name every byte of a state that is a number, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorllama.native import ContextOptions, ModelOptions, StepBatch
from actorllama.native.llama import LlamaBackend
from actorllama.native.state_layout import SectionKind, read_state, section_kinds
from actorllama.native.state_spans import float_spans, payload_spans
from actorllama.testing.random_models import write_random_model

N_CELLS = 40


def saved(tmp_path: Path, family: str, **options: object) -> tuple[memoryview, tuple[SectionKind, ...]]:
    path = write_random_model(tmp_path / f"{family}.gguf", family, seed=1)
    model = LlamaBackend().load(path, ModelOptions(), lambda _fraction: True)
    given = {"n_seq": 2, "ctx_per_seq": 256, "n_threads": 1, **options}
    context = model.open_context(ContextOptions(**given))  # type: ignore[arg-type]
    try:
        tokens = [5 + index % 50 for index in range(N_CELLS)]
        context.decode(
            StepBatch(tokens=tokens, positions=range(N_CELLS), seq_ids=[1] * N_CELLS, outputs=[N_CELLS - 1])
        )
        data = bytearray(context.state_bytes(1))
        context.get_state(1, memoryview(data))
        return memoryview(data), section_kinds(model.facts)
    finally:
        context.close()
        model.close()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma3", "mamba", "jamba"])
@pytest.mark.parametrize("flash_attention", [False, True], ids=["transposed", "flash"])
def test_spans_are_ascending_apart_and_hold_the_bytes_of_all_rows(
    tmp_path: Path, family: str, flash_attention: bool
) -> None:
    data, kinds = saved(tmp_path, family, flash_attention=flash_attention)
    spans = payload_spans(data, kinds, n_stream=2)
    end = 0
    for span in spans:
        assert end < span.offset  # a row's type and length lie in between
        end = span.offset + span.n_bytes
    assert end == len(data)
    sections = read_state(data, kinds, n_stream=2)
    expected = sum(
        row_bytes * len(section.positions) for section in sections for _type, row_bytes in section.rows
    )
    assert sum(span.n_bytes for span in spans) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("family", "is_any"), [("llama", True), ("jamba", True), ("mamba", False)])
def test_recurrent_rows_may_not_be_rounded(tmp_path: Path, family: str, is_any: bool) -> None:
    data, kinds = saved(tmp_path, family)
    floats = float_spans(data, kinds, n_stream=2)
    attention = [span for span in payload_spans(data, kinds, n_stream=2) if span.kind != "recurrent"]
    assert bool(floats) == is_any
    assert [(row.offset, row.n_bytes) for row in floats] == [(s.offset, s.n_bytes) for s in attention]
    assert {row.element for row in floats} <= {"f16"}


@pytest.mark.slow
def test_quantised_rows_are_no_plain_numbers(tmp_path: Path) -> None:
    data, kinds = saved(tmp_path, "llama", type_k="q8_0", type_v="f32")
    floats = float_spans(data, kinds, n_stream=2)
    assert {row.element for row in floats} == {"f32"}
    assert len(floats) == len(payload_spans(data, kinds, n_stream=2)) // 2
