"""A state that is not exactly what this context would write never reaches llama.cpp."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from actorllama.errors import StateError
from actorllama.native import ContextOptions, ModelOptions, StepBatch
from actorllama.native.llama import LlamaBackend
from actorllama.native.state_layout import StateLayout, check_state, read_state, section_kinds
from actorllama.native.state_reader import SectionKind
from actorllama.testing.random_models import write_random_model

N_CELLS = 70
FAMILIES = ("llama", "qwen3", "gemma3", "mamba", "jamba", "lfm2")


class Saved:
    """A real state of a tiny model of one family, with what is needed to read it."""

    def __init__(self, path: Path, layout: str) -> None:
        model = LlamaBackend().load(path, ModelOptions(), lambda _fraction: True)
        options = ContextOptions(n_seq=3, ctx_per_seq=256, n_threads=1, layout=layout)
        context = model.open_context(options)
        tokens = [5 + index % 50 for index in range(N_CELLS)]
        context.decode(
            StepBatch(tokens=tokens, positions=range(N_CELLS), seq_ids=[1] * N_CELLS, outputs=[N_CELLS - 1])
        )
        self.data = bytearray(context.state_bytes(1))
        context.get_state(1, memoryview(self.data))
        self.kinds = section_kinds(model.facts)
        self.n_stream = 1 if layout == "shared" else 3
        self.sections = read_state(memoryview(self.data), self.kinds, n_stream=self.n_stream)
        self.layout = StateLayout.of(self.sections, n_stream=self.n_stream)
        self.n_swa = model.facts.n_swa
        context.close()
        model.close()

    def check(self, data: bytes | bytearray, *, n_cells: int = N_CELLS) -> None:
        check_state(memoryview(data), self.layout, self.kinds, n_cells=n_cells)


@pytest.fixture(
    scope="module", params=[(family, layout) for family in FAMILIES for layout in ("isolated", "shared")]
)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    family, layout = request.param
    path = tmp_path_factory.mktemp("models") / f"{family}.gguf"
    write_random_model(path, family, seed=1)
    return Saved(path, layout)


def test_a_state_is_read_to_its_last_byte_and_holds_its_positions(saved: Saved) -> None:
    saved.check(saved.data)
    for section in saved.sections:
        expected = {"attention": N_CELLS, "window": min(N_CELLS, saved.n_swa), "recurrent": 1}[section.kind]
        assert expected == len(section.positions)


def test_a_state_cut_anywhere_is_refused(saved: Saved) -> None:
    lengths = {*range(min(len(saved.data), 64)), *range(64, len(saved.data), max(1, len(saved.data) // 199))}
    for length in sorted(lengths):
        with pytest.raises(StateError):
            saved.check(saved.data[:length])


def test_a_state_with_a_byte_too_many_is_refused(saved: Saved) -> None:
    with pytest.raises(StateError):
        saved.check(saved.data + b"\0")


def test_a_state_for_another_length_is_refused(saved: Saved) -> None:
    for n_cells in (N_CELLS - 1, N_CELLS + 1):
        with pytest.raises(StateError, match="positions"):
            saved.check(saved.data, n_cells=n_cells)


@pytest.mark.parametrize("position", [9999, -1, 0])
def test_a_state_with_an_absurd_position_is_refused(saved: Saved, position: int) -> None:
    last = struct.pack("<i", N_CELLS - 1)
    at = saved.data.index(last, 8)
    damaged = bytearray(saved.data)
    damaged[at : at + 4] = struct.pack("<i", position)
    with pytest.raises(StateError):
        saved.check(damaged)


def test_a_state_of_another_layout_is_refused(saved: Saved) -> None:
    other = StateLayout(n_stream=saved.layout.n_stream, shape=saved.layout.shape[:-1])
    with pytest.raises(StateError, match="layout"):
        check_state(memoryview(saved.data), other, saved.kinds, n_cells=N_CELLS)


def test_claimed_lengths_cannot_make_the_reader_allocate(saved: Saved) -> None:
    n_cells = 1 if saved.kinds == ("recurrent",) else N_CELLS
    at = saved.data.index(struct.pack("<I", n_cells), 8)
    for claimed in (0, n_cells + 1, 2**31, 2**32 - 1):
        damaged = bytearray(saved.data)
        damaged[at : at + 4] = struct.pack("<I", claimed)
        with pytest.raises(StateError):
            saved.check(damaged)


CELL = struct.pack("<iIi", 0, 1, 0)
ROW = struct.pack("<iQ", 1, 2) + b"kk"
HEAD = struct.pack("<Ii", 0xAF143CD8, 0)


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("attention", struct.pack("<III", 2, 0, 0), "no cells"),
        ("attention", 2 * (struct.pack("<I", 1) + CELL + struct.pack("<II", 0, 1) + 2 * ROW), "two streams"),
        ("attention", struct.pack("<II", 2, 1) + struct.pack("<iIi", 0, 2, 0), "several sequences"),
        ("attention", struct.pack("<II", 2, 1) + CELL + struct.pack("<II", 0, 0), "0 layers"),
        ("attention", struct.pack("<II", 2, 1) + CELL + struct.pack("<II", 2, 1), "layers"),
        (
            "attention",
            struct.pack("<II", 2, 1) + CELL + struct.pack("<II", 1, 1) + ROW + struct.pack("<iII", 1, 2, 0),
            "without elements",
        ),
        ("recurrent", struct.pack("<I", 0), "no recurrent cell"),
        ("recurrent", struct.pack("<I", 2), "2 recurrent cells"),
        ("recurrent", struct.pack("<IiI", 1, 0, 1), "several sequences"),
        ("recurrent", struct.pack("<IiIII", 1, 0, 0, 1, 1), "unknown form"),
        ("recurrent", struct.pack("<IiIII", 1, 0, 0, 0, 0), "unknown form"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_state_that_llama_cpp_would_not_write_is_refused_with_its_reason(
    kind: SectionKind, body: bytes, reason: str
) -> None:
    if reason == "two streams":
        body = struct.pack("<I", 2) + body
    with pytest.raises(StateError, match=reason):
        read_state(memoryview(HEAD + body), (kind,), n_stream=2)


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_state_without_values_is_read_in_any_stream(stream: int) -> None:
    """Multi-head latent attention caches keys only."""
    cells = bytes(4 * stream) + struct.pack("<I", 1) + CELL + struct.pack("<II", 0, 1) + ROW
    data = HEAD + struct.pack("<I", 3) + cells + bytes(4 * (2 - stream))
    (section,) = read_state(memoryview(data), ("attention",), n_stream=3)
    assert section.rows == ((1, 2),)
