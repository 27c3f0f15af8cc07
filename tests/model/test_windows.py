"""A restored sliding window goes on bit by bit: its rows lie in the cells that the unbroken run has them in.

llama.cpp has two sizes of window memory: as many cells as the context, or a ring that is used again and
again. Whichever it takes by default, the law holds for both.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from attrs import frozen

from actorllama.native import ContextOptions, ModelOptions, StepBatch, join_state, section_kinds, split_state
from actorllama.native.llama import LlamaBackend
from actorllama.native.llama.binding import llama_cpp
from actorllama.native.llama.context import LlamaContext
from actorllama.native.llama.model import LlamaModel
from actorllama.native.state_layout import read_state
from actorllama.testing.random_models import write_random_model

pytestmark = pytest.mark.model

N_SWA = 32  # gemma3's in testing/random_shapes.py
N_RING = 256  # the least that llama.cpp takes; batches of 64 leave it at that
N_MORE = 44  # longer than the window
LENGTHS = (
    *(1, 32, 33, 34, 64, 100),  # around the window
    *(211, 213, 254, 256, 257),  # around the ring's end, before and while decoding
    *(287, 289, 300, 511, 513, 545, 700),  # the window lies across the end, or was round twice
)
TOKENS: list[int] = np.random.Generator(np.random.SFC64(1)).integers(20, 220, 800).tolist()


@frozen(kw_only=True)
class Case:
    """One way to keep a window."""

    is_ring: bool
    flash_attention: bool = False
    type_kv: str = "f16"

    def __str__(self) -> str:
        return "-".join(
            ("ring" if self.is_ring else "full", "flash" if self.flash_attention else "plain", self.type_kv)
        )


CASES = (
    Case(is_ring=False),
    Case(is_ring=True),
    pytest.param(Case(is_ring=False, flash_attention=True), marks=pytest.mark.slow),
    Case(is_ring=True, flash_attention=True),
    pytest.param(Case(is_ring=True, flash_attention=True, type_kv="q8_0"), marks=pytest.mark.slow),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Generator[LlamaModel]:
    path = write_random_model(tmp_path_factory.mktemp("windows") / "gemma3.gguf", "gemma3", seed=3)
    loaded = LlamaBackend().load(path, ModelOptions(), lambda _: True)
    yield loaded
    loaded.close()


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Choose the size of the window memory, as llama.cpp's own default would."""
    case: Case = request.param
    defaults = llama_cpp.llama_context_default_params

    def changed() -> llama_cpp.llama_context_params:
        params = defaults()
        params.swa_full = not case.is_ring
        return params

    monkeypatch.setattr(llama_cpp, "llama_context_default_params", changed)
    return case


@contextmanager
def opened(model: LlamaModel, case: Case, *, n_seq: int = 2) -> Generator[LlamaContext]:
    options = ContextOptions(
        n_seq=n_seq,
        ctx_per_seq=1024,
        n_batch=64,
        n_ubatch=64,
        n_threads=1,
        flash_attention=case.flash_attention,
        type_k=case.type_kv,
        type_v=case.type_kv,
    )
    context = model.open_context(options)
    try:
        yield context
    finally:
        context.close()


def prefill(context: LlamaContext, tokens: Sequence[int], *, seq_id: int, first: int = 0) -> bytes:
    """Decode tokens in chunks, never a lone one; return a digest of the last one's logits."""
    n, begin = len(tokens), 0
    while begin < n:
        end = min(begin + 60, n)
        end = n if n - end == 1 else end
        count = end - begin
        context.decode(
            StepBatch(
                tokens=tokens[begin:end],
                positions=range(first + begin, first + end),
                seq_ids=[seq_id] * count,
                outputs=[count - 1],
            )
        )
        begin = end
    return context.logits_digest(0)


def step(context: LlamaContext, tokens: Sequence[int], *, seq_id: int, first: int) -> list[bytes]:
    """Decode tokens one by one, as a turn does."""
    return [
        prefill(context, [token], seq_id=seq_id, first=first + index) for index, token in enumerate(tokens)
    ]


def saved(context: LlamaContext, seq_id: int) -> memoryview:
    data = memoryview(bytearray(context.state_bytes(seq_id)))
    return data[: context.get_state(seq_id, data)]


def told(n: int) -> list[int]:
    return TOKENS[:n]


@pytest.mark.parametrize("n_told", LENGTHS)
def test_a_restored_window_goes_on_exactly(model: LlamaModel, case: Case, n_told: int) -> None:
    more = TOKENS[-N_MORE:]
    with opened(model, case) as context:
        prefill(context, told(n_told), seq_id=0)
        context.set_state(1, saved(context, 0), n_cells=n_told)
        live = step(context, more, seq_id=0, first=n_told)
        restored = step(context, more, seq_id=1, first=n_told)
        assert live == restored
        # And once more, from where that has come to, in a sequence that has held another text.
        n_told += N_MORE
        context.set_state(0, saved(context, 1), n_cells=n_told)
        assert step(context, more, seq_id=0, first=n_told) == step(context, more, seq_id=1, first=n_told)


@pytest.mark.parametrize("n_told", [40, 230, 256, 300, 520])
def test_a_prompt_behind_a_restored_window_is_computed_exactly(
    model: LlamaModel, case: Case, n_told: int
) -> None:
    more = TOKENS[-150:]
    with opened(model, case) as context:
        prefill(context, told(n_told), seq_id=0)
        context.set_state(1, saved(context, 0), n_cells=n_told)
        live, restored = (prefill(context, more, seq_id=seq_id, first=n_told) for seq_id in (0, 1))
        assert live == restored
        n_told += len(more)
        live_rows, restored_rows = (step(context, more[:5], seq_id=s, first=n_told) for s in (0, 1))
        assert live_rows == restored_rows


def test_several_windows_are_restored_and_decoded_together_exactly(model: LlamaModel, case: Case) -> None:
    lengths = (50, 257, 530)
    with opened(model, case, n_seq=6) as context:
        for seq_id, n_told in enumerate(lengths):
            prefill(context, told(n_told), seq_id=seq_id)
        for seq_id, n_told in enumerate(lengths):
            context.set_state(5 - seq_id, saved(context, seq_id), n_cells=n_told)

        def together(seq_ids: Sequence[int]) -> list[list[bytes]]:
            rows: list[list[bytes]] = []
            for index in range(N_MORE):
                batch = StepBatch(
                    tokens=[TOKENS[-1 - index]] * len(lengths),
                    positions=[n_told + index for n_told in lengths],
                    seq_ids=seq_ids,
                    outputs=range(len(lengths)),
                )
                context.decode(batch)
                # llama.cpp computes the rows in order of their sequences.
                rows.append([context.logits_digest(row) for row in range(len(lengths))])
            return rows

        live = together([0, 1, 2])
        restored = together([5, 4, 3])
        assert live == restored


@pytest.mark.parametrize("n_told", [20, 100, 290, 513])
def test_a_window_cut_into_blocks_and_joined_goes_on_exactly(
    model: LlamaModel, case: Case, n_told: int
) -> None:
    kinds = section_kinds(model.facts)
    more = TOKENS[-N_MORE:]
    with opened(model, case) as context:
        prefill(context, told(n_told), seq_id=0)
        parts = split_state(saved(context, 0), kinds, n_stream=2, block_tokens=64)
        want = step(context, more, seq_id=0, first=n_told)
    with opened(model, case, n_seq=3) as context:
        joined = join_state(parts.blocks, parts.boundary, n_stream=3)
        context.set_state(2, joined, n_cells=n_told)
        again = split_state(saved(context, 2), kinds, n_stream=3, block_tokens=64)
        assert (again.blocks, again.boundary) == (parts.blocks, parts.boundary)
        assert step(context, more, seq_id=2, first=n_told) == want


@pytest.mark.parametrize("n_told", [33, 70, 256, 300, 520])
def test_zeros_that_hold_a_place_are_never_taken_for_rows(model: LlamaModel, case: Case, n_told: int) -> None:
    kinds = section_kinds(model.facts)
    with opened(model, case) as context:
        prefill(context, told(n_told), seq_id=0)
        state = saved(context, 0)
        context.set_state(1, state, n_cells=n_told)
        assert context.position_range(1) == (n_told - N_SWA, n_told - 1)
        before, after = (read_state(data, kinds, n_stream=2) for data in (state, saved(context, 1)))
        assert [sorted(section.positions) for section in before] == [
            sorted(section.positions) for section in after
        ]
        for n_back in (1, 2, N_SWA - 1, n_told - N_SWA):
            if n_back:
                assert not context.rollback(1, n_told - n_back)
        assert context.rollback(1, 0)
        assert context.position_range(1) is None
        want = prefill(context, told(30), seq_id=1)
        assert context.position_range(1) == (0, 29)
        assert context.rollback(1, 5)
        context.clear_sequence(0)
        assert prefill(context, told(30), seq_id=0) == want


@pytest.mark.slow
@pytest.mark.parametrize("n_held", [60, 250, 256, 257, 262, 300, 514])
@pytest.mark.parametrize("restored_at", [None, 12, 1], ids=["live", "restored early", "restored late"])
def test_what_a_window_takes_back_leaves_no_trace(
    model: LlamaModel, case: Case, n_held: int, restored_at: int | None
) -> None:
    """It is taken back only if what follows is, bit by bit, as if it had never been; else all stays."""
    other = TOKENS[-N_SWA - 8 :]
    n_told = n_held - 12
    with opened(model, case, n_seq=3) as context:
        for n_back in (1, 3, 8, 12):
            n_keep = n_held - n_back
            tell(context, n_keep, n_told=n_told, seq_id=1)
            want = step(context, other, seq_id=1, first=n_keep)
            if restored_at is None:
                tell(context, n_held, n_told=n_told, seq_id=0)
            else:
                tell(context, n_held - restored_at, n_told=n_told, seq_id=2)
                context.set_state(0, saved(context, 2), n_cells=n_held - restored_at)
                step(context, TOKENS[n_held - restored_at : n_held], seq_id=0, first=n_held - restored_at)
            is_restored_behind = restored_at is not None and n_keep < n_held - restored_at
            lies_on_both_ends = case.is_ring and n_keep % N_RING + n_back > N_RING
            if is_restored_behind or lies_on_both_ends:
                assert not context.rollback(0, n_keep)
                held = context.position_range(0)
                assert held is not None
                assert held[1] == n_held - 1
            else:
                assert context.rollback(0, n_keep)
                context.set_state(1, saved(context, 0), n_cells=n_keep)
                assert step(context, other, seq_id=0, first=n_keep) == want
                assert step(context, other, seq_id=1, first=n_keep) == want


def tell(context: LlamaContext, n: int, *, n_told: int, seq_id: int) -> None:
    """Prefill what was told, and decode what was replied, up to ``n`` tokens; in an empty sequence."""
    context.clear_sequence(seq_id)
    prefill(context, told(n_told), seq_id=seq_id)
    step(context, TOKENS[n_told:n], seq_id=seq_id, first=n_told)
