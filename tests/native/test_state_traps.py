"""The sharp edges of llama.cpp's sequence states, each with its guard (llama-notes 1.2 and 1.3).

Not here because our protocol has no door to them: copies of a part of a sequence, and position shifts that
are still pending when a state is saved.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import pytest

from actorllama.errors import SnapshotCorrupt, StateError
from actorllama.kvcache import Snapshot, decode
from actorllama.native import ContextOptions, ModelOptions, StepBatch
from actorllama.native.llama import LlamaBackend
from actorllama.native.llama.context import LlamaContext
from actorllama.native.llama.model import LlamaModel
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.random_models import write_random_model

pytestmark = pytest.mark.model

N_SWA = 32  # gemma3's in testing/random_shapes.py
N_PROMPT = 70
PROMPT = [20 + 7 * index % 200 for index in range(N_PROMPT)]
REPLY = [31, 57, 90, 12, 200, 44, 18, 77, 130, 9]
OTHER_REPLY = [60, 61, 150]
ATTENTION = ("llama", "qwen2", "qwen3")
RECURRENT = ("mamba", "jamba", "lfm2", "falcon-h1", "granitehybrid")
FAMILIES = (*ATTENTION, "gemma3", *RECURRENT)


class Knobs(TypedDict, total=False):
    """What a test varies about a context."""

    n_seq: int
    layout: str
    flash_attention: bool
    type_k: str
    type_v: str


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, LlamaModel]]:
    """Load one tiny model of each family."""
    root = tmp_path_factory.mktemp("traps")
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
def opened(model: LlamaModel, **knobs: Unpack[Knobs]) -> Generator[LlamaContext]:
    options: Knobs = {"n_seq": 3, **knobs}
    context = model.open_context(ContextOptions(ctx_per_seq=256, n_threads=1, **options))
    try:
        yield context
    finally:
        context.close()


def feed(context: LlamaContext, tokens: Sequence[int], *, seq_id: int, first: int) -> bytes:
    """Decode tokens in one batch; return the bytes of the last one's logits."""
    n = len(tokens)
    context.decode(
        StepBatch(tokens=tokens, positions=range(first, first + n), seq_ids=[seq_id] * n, outputs=[n - 1])
    )
    return bytes(context.logits()[0].data)


def step(context: LlamaContext, tokens: Sequence[int], *, seq_id: int, first: int) -> list[bytes]:
    """Decode tokens one by one, as a turn does; return every row of logits."""
    return [feed(context, [token], seq_id=seq_id, first=first + index) for index, token in enumerate(tokens)]


def saved(context: LlamaContext, seq_id: int) -> bytearray:
    data = bytearray(context.state_bytes(seq_id))
    assert context.get_state(seq_id, memoryview(data)) == len(data)
    return data


def never_had_the_rest(model: LlamaModel, n_keep: int, **knobs: Unpack[Knobs]) -> list[bytes]:
    """Give the logits of a sequence that went another way after ``n_keep`` tokens."""
    told = [*PROMPT, *REPLY][:n_keep]
    with opened(model, **knobs) as context:
        feed(context, told[:N_PROMPT], seq_id=1, first=0)
        step(context, told[N_PROMPT:], seq_id=1, first=N_PROMPT)
        return step(context, OTHER_REPLY, seq_id=1, first=n_keep)


# -- taking tokens back ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_back", [1, 4, 10])
@pytest.mark.parametrize("is_restored", [False, True], ids=["live", "restored"])
@pytest.mark.parametrize("is_flash", [False, True], ids=["plain", "flash"])
@pytest.mark.parametrize("family", ATTENTION)
def test_what_is_taken_back_leaves_no_trace(
    models: dict[str, LlamaModel], family: str, n_back: int, *, is_restored: bool, is_flash: bool
) -> None:
    n_keep = N_PROMPT + len(REPLY) - n_back
    want = never_had_the_rest(models[family], n_keep, flash_attention=is_flash)
    with opened(models[family], flash_attention=is_flash) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        step(context, REPLY, seq_id=1, first=N_PROMPT)
        seq_id = 1
        if is_restored:
            seq_id = 2
            context.set_state(seq_id, memoryview(saved(context, 1)), n_cells=N_PROMPT + len(REPLY))
        assert context.rollback(seq_id, n_keep)
        assert context.position_range(seq_id) == (0, n_keep - 1)
        assert step(context, OTHER_REPLY, seq_id=seq_id, first=n_keep) == want


@pytest.mark.parametrize("n_back", [1, 4, 10])
def test_a_live_window_can_be_rolled_back(models: dict[str, LlamaModel], n_back: int) -> None:
    n_keep = N_PROMPT + len(REPLY) - n_back
    want = never_had_the_rest(models["gemma3"], n_keep)
    with opened(models["gemma3"]) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        step(context, REPLY, seq_id=1, first=N_PROMPT)
        assert context.rollback(1, n_keep)
        assert step(context, OTHER_REPLY, seq_id=1, first=n_keep) == want


def test_a_restored_window_cannot_be_rolled_back_and_is_left_alone(models: dict[str, LlamaModel]) -> None:
    n_held = N_PROMPT + len(REPLY)
    with opened(models["gemma3"]) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        step(context, REPLY, seq_id=1, first=N_PROMPT)
        data = saved(context, 1)
        want = step(context, OTHER_REPLY, seq_id=1, first=n_held)
        context.set_state(2, memoryview(data), n_cells=n_held)
        for n_back in (2, 4, N_SWA, n_held - N_SWA):
            assert not context.rollback(2, n_held - n_back)
        assert context.rollback(2, n_held)
        assert step(context, OTHER_REPLY, seq_id=2, first=n_held) == want


def test_a_restored_window_has_no_row_to_spare(models: dict[str, LlamaModel]) -> None:
    """The next token would find all it looks at; a state saved then would lack its oldest row."""
    n_keep = N_PROMPT + len(REPLY) - 1
    with opened(models["gemma3"]) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        step(context, REPLY, seq_id=1, first=N_PROMPT)
        context.set_state(2, memoryview(saved(context, 1)), n_cells=n_keep + 1)
        assert not context.rollback(2, n_keep)
        assert context.position_range(2) == (n_keep + 1 - N_SWA, n_keep)


@pytest.mark.slow
def test_a_restored_window_is_exact_over_many_texts(models: dict[str, LlamaModel]) -> None:
    """Its rows lie in the cells of the live ones; where llama.cpp puts them, four of these texts differ."""
    n_told = 62
    generator = np.random.Generator(np.random.SFC64(1))
    with opened(models["gemma3"]) as context:
        for _ in range(40):
            tokens = [int(token) for token in generator.integers(20, 220, 130)]
            context.clear_sequence(1)
            feed(context, tokens[:n_told], seq_id=1, first=0)
            context.set_state(2, memoryview(saved(context, 1)), n_cells=n_told)
            live = step(context, tokens[n_told:], seq_id=1, first=n_told)
            assert step(context, tokens[n_told:], seq_id=2, first=n_told) == live


def test_llama_cpp_itself_would_roll_a_restored_window_back_to_wrong_logits(
    models: dict[str, LlamaModel],
) -> None:
    """The trap that the guard is for; when this fails, llama.cpp has mended it and the guard can go."""
    n_held, n_keep = N_PROMPT + len(REPLY), N_PROMPT
    with opened(models["gemma3"]) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        step(context, REPLY, seq_id=1, first=N_PROMPT)
        context.set_state(2, memoryview(saved(context, 1)), n_cells=n_held)
        assert context.remove_cells(2, n_keep, n_held)
        got = step(context, OTHER_REPLY, seq_id=2, first=n_keep)
    assert got != never_had_the_rest(models["gemma3"], n_keep)


@pytest.mark.parametrize("n_more", [1, 5, N_SWA, N_SWA + 10])
def test_a_restored_window_can_be_rolled_back_over_what_came_after_it(
    models: dict[str, LlamaModel], n_more: int
) -> None:
    """What was decoded after a restore can be taken back, to the point of the restore and no further."""
    more = [20 + 3 * index % 190 for index in range(n_more)]
    with opened(models["gemma3"]) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        context.set_state(2, memoryview(saved(context, 1)), n_cells=N_PROMPT)
        want = step(context, OTHER_REPLY, seq_id=1, first=N_PROMPT)
        step(context, more, seq_id=2, first=N_PROMPT)
        assert not context.rollback(2, N_PROMPT - 2)
        assert context.rollback(2, N_PROMPT)
        assert step(context, OTHER_REPLY, seq_id=2, first=N_PROMPT) == want


def test_a_window_in_the_shared_layout_is_not_rolled_back(models: dict[str, LlamaModel]) -> None:
    with opened(models["gemma3"], layout="shared") as context:
        feed(context, PROMPT, seq_id=1, first=0)
        assert not context.rollback(1, N_PROMPT - 1)
        assert context.rollback(1, N_PROMPT)


@pytest.mark.parametrize("family", RECURRENT)
def test_a_recurrent_memory_says_that_it_cannot_and_goes_on(
    models: dict[str, LlamaModel], family: str
) -> None:
    with opened(models[family]) as context:
        feed(context, PROMPT, seq_id=0, first=0)
        want = step(context, REPLY, seq_id=0, first=N_PROMPT)
        feed(context, PROMPT, seq_id=1, first=0)
        for n_keep in (1, N_PROMPT // 2, N_PROMPT - 1):
            assert not context.rollback(1, n_keep)
        assert context.rollback(1, N_PROMPT)
        assert step(context, REPLY, seq_id=1, first=N_PROMPT) == want


@pytest.mark.parametrize("family", FAMILIES)
def test_every_memory_can_be_rolled_back_to_nothing(models: dict[str, LlamaModel], family: str) -> None:
    with opened(models[family]) as context:
        want = feed(context, PROMPT, seq_id=0, first=0)
        feed(context, PROMPT[::-1], seq_id=1, first=0)
        assert context.rollback(1, 0)
        assert context.position_range(1) is None
        assert context.rollback(1, 0)
        assert feed(context, PROMPT, seq_id=1, first=0) == want


@pytest.mark.parametrize("n_keep", [-1, N_PROMPT + 1, 2**31])
def test_more_than_there_is_cannot_be_kept(models: dict[str, LlamaModel], n_keep: int) -> None:
    with opened(models["llama"]) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        with pytest.raises(StateError, match="rollback"):
            context.rollback(1, n_keep)
        with pytest.raises(StateError, match="sequence 3 of 3"):
            context.rollback(3, 0)
        assert context.position_range(1) == (0, N_PROMPT - 1)


def test_the_fake_memory_can_always_be_rolled_back() -> None:
    model = FakeBackend().load(Path("fake.gguf"), ModelOptions(), lambda _: True)
    context = model.open_context(ContextOptions(n_seq=2, ctx_per_seq=64))
    context.decode(StepBatch(tokens=[7, 8, 9], positions=[0, 1, 2], seq_ids=[1, 1, 1], outputs=[2]))
    for n_keep in (-1, 4):
        with pytest.raises(StateError, match="rollback"):
            context.rollback(1, n_keep)
    for n_keep in (3, 2, 2, 0):
        assert context.rollback(1, n_keep)
        assert context.position_range(1) == ((0, n_keep - 1) if n_keep else None)
    context.close()


# -- states that do not belong here ----------------------------------------------------------------

ELSEWHERE: dict[str, Knobs] = {
    "n_stream": {"n_seq": 2},
    "layout": {"layout": "shared"},
    "flash attention": {"flash_attention": True},
    "key type": {"type_k": "q8_0"},
    "value type": {"type_v": "q8_0", "flash_attention": True},
}


@pytest.mark.parametrize("family", ["qwen3", "gemma3"])
@pytest.mark.parametrize("difference", ELSEWHERE)
def test_a_state_of_another_kind_of_context_is_refused_and_leaves_an_empty_sequence(
    models: dict[str, LlamaModel], family: str, difference: str
) -> None:
    with opened(models[family]) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        data = saved(context, 1)
    with opened(models[family], **ELSEWHERE[difference]) as context:
        want = feed(context, PROMPT, seq_id=0, first=0)
        feed(context, REPLY, seq_id=1, first=0)
        with pytest.raises(StateError, match="No sequence holds any of it; compute the prefix again"):
            context.set_state(1, memoryview(data), n_cells=N_PROMPT)
        assert context.position_range(1) is None
        assert context.position_range(0) is not None
        assert feed(context, PROMPT, seq_id=1, first=0) == want


@pytest.mark.parametrize("position", [9999, -1, N_PROMPT])
@pytest.mark.parametrize("family", ["llama", "gemma3", "jamba", "mamba"])
def test_absurd_positions_are_refused_which_llama_cpp_would_take(
    models: dict[str, LlamaModel], family: str, position: int
) -> None:
    with opened(models[family]) as context:
        feed(context, PROMPT, seq_id=1, first=0)
        data = saved(context, 1)
        at = data.index(struct.pack("<iI", N_PROMPT - 1, 0 if family == "mamba" else 1))
        data[at : at + 4] = struct.pack("<i", position)
        with pytest.raises(StateError, match="positions"):
            context.set_state(1, memoryview(data), n_cells=N_PROMPT)
        assert context.position_range(1) is None


@pytest.mark.parametrize("family", ["llama", "gemma3", "jamba", "mamba"])
def test_a_flipped_payload_byte_is_believed_by_llama_cpp_and_caught_by_the_snapshot(
    models: dict[str, LlamaModel], family: str
) -> None:
    with opened(models[family]) as context:
        feed(context, PROMPT, seq_id=2, first=0)
        data = saved(context, 2)
        want = step(context, REPLY, seq_id=2, first=N_PROMPT)
        damaged = bytearray(data)
        damaged[-1] ^= 0x40
        context.set_state(1, memoryview(damaged), n_cells=N_PROMPT)
        assert step(context, REPLY, seq_id=1, first=N_PROMPT) != want

    snapshot = Snapshot(
        namespace="abc",
        tokens=(*PROMPT, REPLY[0]),
        n_prompt=N_PROMPT,
        sampler=b"",
        kv=bytes(data),
        created_s=0.0,
    )
    file = bytearray().join(snapshot.encode())
    at = file.index(data)
    file[at : at + len(data)] = damaged
    with pytest.raises(SnapshotCorrupt):
        decode(file)
