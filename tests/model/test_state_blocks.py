"""A state cut into blocks and joined goes on, bit by bit, as the state itself would: every kind of memory."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import pytest
from attrs import frozen

from actorllama.native import (
    ContextOptions,
    ModelOptions,
    StateParts,
    StepBatch,
    join_state,
    section_kinds,
    split_state,
)
from actorllama.native.llama import LlamaBackend
from actorllama.native.llama.context import LlamaContext
from actorllama.native.llama.model import LlamaModel
from actorllama.testing.random_models import write_random_model

pytestmark = pytest.mark.model

BLOCK = 16
# Longer than gemma3's window of 32; one length with an unfinished block and one without.
LENGTHS = (70, 64)
PROMPT = [20 + 7 * index % 200 for index in range(max(LENGTHS))]
REPLY = [31, 57, 90, 12, 200, 44, 18, 77, 130, 9]
FAMILIES = ("llama", "qwen2", "qwen3", "gemma3", "mamba", "jamba", "lfm2", "falcon-h1", "granitehybrid")


@frozen(kw_only=True)
class Case:
    """One kind of memory."""

    family: str
    flash_attention: bool = False
    type_kv: str = "f16"
    layout: str = "isolated"

    def __str__(self) -> str:
        return f"{self.family}-{'flash' if self.flash_attention else 'plain'}-{self.type_kv}-{self.layout}"

    @property
    def n_stream_of_three(self) -> int:
        """How many streams a context of three sequences has."""
        return 1 if self.layout == "shared" else 3


CASES = (
    *(
        Case(family=family, flash_attention=is_flash, layout=layout)
        for family in FAMILIES
        for is_flash in (False, True)
        for layout in ("isolated", "shared")
    ),
    *(
        Case(family=family, flash_attention=True, type_kv="q8_0", layout=layout)
        for family in ("qwen3", "gemma3")  # heads as wide as a block of q8_0
        for layout in ("isolated", "shared")
    ),
)
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, LlamaModel]]:
    """Load one tiny model of each family."""
    root = tmp_path_factory.mktemp("blocks")
    backend = LlamaBackend()
    loaded = {
        family: backend.load(
            write_random_model(root / f"{family}.gguf", family, seed=3), ModelOptions(), lambda _: True
        )
        for family in FAMILIES
    }
    yield loaded
    for model in loaded.values():
        model.close()


@contextmanager
def opened(case: Case, models: dict[str, LlamaModel], *, n_seq: int = 3) -> Generator[LlamaContext]:
    options = ContextOptions(
        n_seq=n_seq,
        ctx_per_seq=256,
        n_threads=1,
        layout=case.layout,
        flash_attention=case.flash_attention,
        type_k=case.type_kv,
        type_v=case.type_kv,
    )
    context = models[case.family].open_context(options)
    try:
        yield context
    finally:
        context.close()


def feed(context: LlamaContext, tokens: Sequence[int], *, seq_id: int, first: int = 0) -> bytes:
    """Decode tokens in one batch; return a digest of the last one's logits."""
    n = len(tokens)
    context.decode(
        StepBatch(tokens=tokens, positions=range(first, first + n), seq_ids=[seq_id] * n, outputs=[n - 1])
    )
    return context.logits_digest(0)


def goes_on(context: LlamaContext, state: memoryview, *, seq_id: int, n_cells: int) -> list[bytes]:
    """Restore into an empty context, go on token by token, and leave it empty."""
    context.set_state(seq_id, state, n_cells=n_cells)
    digests = [
        feed(context, [token], seq_id=seq_id, first=n_cells + index) for index, token in enumerate(REPLY)
    ]
    context.clear_sequence(seq_id)
    return digests


def saved(context: LlamaContext, seq_id: int) -> memoryview:
    data = memoryview(bytearray(context.state_bytes(seq_id)))
    return data[: context.get_state(seq_id, data)]


def split(case: Case, models: dict[str, LlamaModel], state: memoryview) -> StateParts:
    kinds = section_kinds(models[case.family].facts)
    return split_state(state, kinds, n_stream=case.n_stream_of_three, block_tokens=BLOCK)


@each_case
def test_what_was_cut_and_joined_goes_on_exactly_in_any_sequence_of_any_context(
    case: Case, models: dict[str, LlamaModel]
) -> None:
    for n_cells in LENGTHS:
        with opened(case, models) as context:
            feed(context, PROMPT[:n_cells], seq_id=1)
            state = saved(context, 1)
            context.clear_sequence(1)
            parts = split(case, models, state)
            want = goes_on(context, state, seq_id=2, n_cells=n_cells)
            joined = join_state(parts.blocks, parts.boundary, n_stream=case.n_stream_of_three)
            assert goes_on(context, joined, seq_id=0, n_cells=n_cells) == want
            context.set_state(1, joined, n_cells=n_cells)
            again = split(case, models, saved(context, 1))
            assert (again.blocks, again.boundary) == (parts.blocks, parts.boundary)
        with opened(case, models, n_seq=5) as context:
            n_stream = 1 if case.layout == "shared" else 5
            joined = join_state(parts.blocks, parts.boundary, n_stream=n_stream)
            assert goes_on(context, joined, seq_id=4, n_cells=n_cells) == want
        assert len(set(want)) == len(REPLY)


@each_case
def test_states_that_begin_alike_have_the_same_blocks(case: Case, models: dict[str, LlamaModel]) -> None:
    """Computed in one chunk and in two, alone and behind a neighbour, and continued in different ways."""
    n_shared = 48
    with opened(case, models) as context:
        feed(context, PROMPT[:n_shared], seq_id=0)
        a = split(case, models, saved(context, 0))
        feed(context, PROMPT[n_shared:], seq_id=0, first=n_shared)
        b = split(case, models, saved(context, 0))
        context.set_state(1, join_of(case, a), n_cells=n_shared)
        feed(context, REPLY + REPLY, seq_id=1, first=n_shared)
        c = split(case, models, saved(context, 1))
    n = n_shared // BLOCK
    assert a.blocks == b.blocks[:n] == c.blocks[:n]
    assert b.boundary != c.boundary
    if a.blocks:
        assert b.blocks[n] != c.blocks[n]


def join_of(case: Case, parts: StateParts) -> memoryview:
    return join_state(parts.blocks, parts.boundary, n_stream=case.n_stream_of_three)


@pytest.mark.parametrize("case", [case for case in CASES if case.family in {"llama", "qwen3"}], ids=str)
def test_a_prefix_of_the_blocks_is_the_state_of_the_prefix(case: Case, models: dict[str, LlamaModel]) -> None:
    n_cells = 48
    with opened(case, models) as context:
        feed(context, PROMPT, seq_id=1)
        parts = split(case, models, saved(context, 1))
        context.clear_sequence(1)
        prefix = join_state(parts.blocks[: n_cells // BLOCK], None, n_stream=case.n_stream_of_three)
        got = goes_on(context, prefix, seq_id=2, n_cells=n_cells)
        feed(context, PROMPT, seq_id=0)
        assert context.rollback(0, n_cells)
        live = [feed(context, [token], seq_id=0, first=n_cells + i) for i, token in enumerate(REPLY)]
    assert got == live


def test_cells_that_lie_in_holes_are_cut_in_order(models: dict[str, LlamaModel]) -> None:
    """In the shared layout a sequence takes what others have left, in any order."""
    for is_flash in (False, True):
        case = Case(family="qwen3", layout="shared", flash_attention=is_flash)
        with opened(case, models) as context:
            feed(context, PROMPT[:20], seq_id=0)
            feed(context, PROMPT[:30], seq_id=1)
            feed(context, PROMPT[:5], seq_id=2)
            context.clear_sequence(0)
            feed(context, PROMPT[30:], seq_id=1, first=30)
            state = saved(context, 1)
            parts = split(case, models, state)
            joined = join_of(case, parts)
            assert bytes(joined) != bytes(state)
            for seq_id in range(3):
                context.clear_sequence(seq_id)
            context.set_state(2, joined, n_cells=len(PROMPT))
            assert split(case, models, saved(context, 2)).blocks == parts.blocks
            want = goes_on(context, joined, seq_id=2, n_cells=len(PROMPT))
        with opened(case, models) as context:
            assert goes_on(context, joined, seq_id=0, n_cells=len(PROMPT)) == want
