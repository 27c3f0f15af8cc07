"""The fake is as strict as the real thing, and tells what was left open."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
import trio

from actorllama.errors import DecodeError, ModelLoadError, RequestError, StateError
from actorllama.native import Backend, ContextOptions, ModelOptions, SamplingParams, StepBatch
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_context import FakeContext
from actorllama.testing.fake_faults import Gate
from actorllama.testing.fake_language import BOS, END, N_VOCAB, FakeLanguage
from actorllama.testing.fake_ledger import LeakFound
from actorllama.testing.fake_oracle import expected_turn

GREEDY = SamplingParams(temperature=0.0)


def open_context(backend: FakeBackend | None = None, *, n_seq: int = 2, ctx_per_seq: int = 16) -> FakeContext:
    backend = backend or FakeBackend()
    model = backend.load(Path("fake.gguf"), ModelOptions(), lambda _: True)
    return model.open_context(ContextOptions(n_seq=n_seq, ctx_per_seq=ctx_per_seq, n_batch=8))


def rows(*cells: tuple[int, int, int], outputs: tuple[int, ...] = ()) -> StepBatch:
    """Make a batch of (token, position, sequence)."""
    tokens, positions, seq_ids = zip(*cells, strict=True)
    return StepBatch(tokens=tokens, positions=positions, seq_ids=seq_ids, outputs=outputs)


def choose(context: FakeContext, *cells: tuple[int, int, int]) -> int:
    """Compute cells and choose a token after the last one."""
    context.decode(rows(*cells, outputs=(len(cells) - 1,)))
    return context.sample([context.new_sampler(GREEDY, ())], [0])[0]


def test_it_is_a_backend() -> None:
    backend: Backend = FakeBackend()
    assert backend.build_info().library == "fake"


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ((N_VOCAB, 1, 0), "no such token"),
        ((-1, 1, 0), "no such token"),
        ((7, 2, 0), "a position is left out"),
        ((7, 0, 0), "a position is computed twice"),
        ((7, -1, 1), "a negative position"),
        ((7, 0, 2), "no such sequence"),
    ],
)
def test_what_llama_cpp_refuses_is_refused(cell: tuple[int, int, int], why: str) -> None:
    context = open_context()
    context.decode(rows((BOS, 0, 0)))
    with pytest.raises(DecodeError) as refused:
        context.decode(rows(cell))
    assert refused.value.code == -1, why
    assert context.tokens_held(0) == [BOS], "memory is as it was"


def test_a_full_sequence_is_no_room_and_memory_is_as_it_was() -> None:
    context = open_context(ctx_per_seq=8)
    context.decode(rows(*((5, position, 0) for position in range(8))))
    with pytest.raises(DecodeError) as refused:
        context.decode(rows((5, 8, 0), (5, 0, 1)))
    assert (refused.value.code, refused.value.is_retryable) == (1, True)
    assert context.tokens_held(1) == []


def test_a_fatal_code_leaves_half_of_the_batch_behind() -> None:
    backend = FakeBackend()
    context = open_context(backend)
    backend.faults.fail_decode(-3)
    with pytest.raises(DecodeError):
        context.decode(rows((1, 0, 0), (2, 1, 0), (3, 2, 0), (4, 3, 0)))
    assert context.tokens_held(0) == [1, 2]


def test_every_cell_shapes_what_comes() -> None:
    base = [(BOS, 0, 0), (97, 1, 0), (98, 2, 0)]
    wrong = [
        [(BOS, 0, 0), (98, 1, 0), (97, 2, 0)],  # order
        [(BOS, 1, 0), (97, 2, 0), (98, 3, 0)],  # positions
        [(97, 0, 0), (98, 1, 0)],  # a token left out
    ]
    language = FakeLanguage()
    said = {tuple(language.logits(open_cells(cells))) for cells in (base, *wrong)}
    assert len(said) == 4


def open_cells(cells: list[tuple[int, int, int]]) -> array[int]:
    context = open_context()
    context.decode(rows(*cells))
    return context._cells[0]


def test_chunks_and_neighbours_do_not_change_what_comes() -> None:
    alone, mixed = open_context(), open_context()
    prompt = [(BOS, 0, 0), (97, 1, 0), (98, 2, 0)]
    want = choose(alone, *prompt)
    mixed.decode(rows((5, 0, 1), *prompt[:2]))
    assert choose(mixed, (6, 1, 1), prompt[2]) == want


def test_a_state_can_be_taken_out_and_put_into_another_sequence() -> None:
    context = open_context()
    want = choose(context, (BOS, 0, 0), (97, 1, 0))
    data = bytearray(context.state_bytes(0))
    assert context.get_state(0, memoryview(data)) == len(data)
    context.set_state(1, memoryview(data), n_cells=2)

    assert context.position_range(1) == (0, 1)
    assert choose(context, (want, 2, 1)) == choose(context, (want, 2, 0))


@pytest.mark.parametrize(
    "damage", [b"", b"FAKE", b"FAKE\x01\0\0\0", b"NONE" + bytes(20), b"FAKE\xff\xff\0\0"]
)
def test_bytes_that_are_no_state_are_refused_and_the_sequence_is_empty(damage: bytes) -> None:
    context = open_context()
    context.decode(rows((BOS, 0, 0)))
    with pytest.raises(StateError):
        context.set_state(0, memoryview(damage), n_cells=1)
    assert context.position_range(0) is None


def test_a_flipped_payload_byte_is_believed_as_llama_cpp_believes_it() -> None:
    context = open_context()
    context.decode(rows((BOS, 0, 0), (97, 1, 0)))
    data = bytearray(context.state_bytes(0))
    context.get_state(0, memoryview(data))
    data[-8] ^= 1
    context.set_state(1, memoryview(data), n_cells=2)
    assert context.tokens_held(1) == [BOS, 96]


def test_cells_can_be_removed() -> None:
    context = open_context()
    context.decode(rows(*((token, token, 0) for token in range(6))))
    assert context.remove_cells(0, 3, 100)
    assert context.tokens_held(0) == [0, 1, 2]
    context.clear_sequence(0)
    assert context.position_range(0) is None


def test_after_closing_every_call_is_refused() -> None:
    context = open_context()
    context.close()
    context.close()
    for use in (
        lambda: context.decode(rows((BOS, 0, 0))),
        lambda: context.clear_sequence(0),
        lambda: context.state_bytes(0),
    ):
        with pytest.raises(StateError, match="closed"):
            use()
    assert context.is_freed


def test_what_was_left_open_is_told_by_name() -> None:
    backend = FakeBackend()
    context = open_context(backend)
    context.new_sampler(GREEDY, ())
    with pytest.raises(LeakFound) as leak:
        backend.ledger.check()
    assert leak.value.open_ids == ("model#1", "context#1", "sampler#1")


def test_what_is_freed_twice_is_told_by_name() -> None:
    backend = FakeBackend()
    name = backend.ledger.open("model")
    backend.ledger.free(name)
    backend.ledger.free(name)
    with pytest.raises(LeakFound) as leak:
        backend.ledger.check()
    assert leak.value.freed_twice == ("model#1",)


def test_a_model_is_freed_after_its_last_context() -> None:
    backend = FakeBackend()
    model = backend.load(Path("x"), ModelOptions(), lambda _: True)
    context = model.open_context(ContextOptions())
    model.close()
    assert backend.ledger.n_open("model") == 1
    assert model.vocabulary.is_closed
    context.close()
    backend.ledger.check()


def test_a_closed_sampler_must_not_be_used() -> None:
    context = open_context()
    sampler = context.new_sampler(GREEDY, ())
    sampler.close()
    sampler.close()
    with pytest.raises(StateError):
        sampler.accept(1)


def test_a_sampler_of_another_stage_is_refused_not_ignored() -> None:
    with pytest.raises(RequestError, match="no such stage"):
        open_context().new_sampler(SamplingParams(mirostat=2), ())


def test_tokens_and_text_go_both_ways() -> None:
    language = FakeLanguage()
    tokens = language.tokenize("ö<s>x</s>", add_special=True, parse_special=True)
    assert tokens == [BOS, *"ö".encode(), BOS, ord("x"), END]
    assert b"".join(map(language.piece, tokens)) == "öx".encode()
    plain = language.tokenize("<s>", add_special=False, parse_special=False)
    assert b"".join(map(language.piece, plain)) == b"<s>"
    with pytest.raises(RequestError):
        language.piece(N_VOCAB)


def test_the_oracle_knows_every_way_to_end() -> None:
    language = FakeLanguage(end_one_in=12)
    endless = FakeLanguage(end_one_in=0)
    prompt = [BOS, 97]
    assert expected_turn(language, prompt, GREEDY, ctx_per_seq=500).finish_reason == "end"
    assert expected_turn(endless, prompt, GREEDY, max_tokens=3, ctx_per_seq=500).finish_reason == "length"
    assert expected_turn(endless, prompt, GREEDY, ctx_per_seq=9).finish_reason == "context"
    text = expected_turn(endless, prompt, GREEDY, max_tokens=20, ctx_per_seq=500).text
    stopped = expected_turn(endless, prompt, GREEDY, stop=(text[3:5],), ctx_per_seq=500)
    assert (stopped.finish_reason, stopped.stop) == ("stop", text[3:5])
    assert stopped.text == text[: text.index(text[3:5])]


def test_a_load_can_fail_and_can_be_stopped_at_its_gate() -> None:
    backend = FakeBackend()
    backend.faults.fail_load("not a model")
    with pytest.raises(ModelLoadError, match="not a model"):
        backend.load(Path("x"), ModelOptions(), lambda _: True)
    backend.faults.hold_load()
    with pytest.raises(ModelLoadError, match="stopped"):
        backend.load(Path("x"), ModelOptions(), lambda fraction: fraction < 0.5)
    backend.ledger.check()


async def test_a_gate_holds_a_thread_until_it_is_released() -> None:
    gate = Gate()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, gate.hold, lambda: False)
        with trio.fail_after(60):
            await gate.wait_entered()
        assert gate.is_entered
        gate.release()


async def test_an_aborted_context_lets_its_step_go() -> None:
    backend = FakeBackend()
    context = open_context(backend)
    gate = backend.faults.hold_decode()
    codes: list[int] = []

    def decode() -> None:
        try:
            context.decode(rows((BOS, 0, 0)))
        except DecodeError as error:
            codes.append(error.code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, decode)
        with trio.fail_after(60):
            await gate.wait_entered()
        with pytest.raises(StateError, match="another thread"):
            context.clear_sequence(0)
        context.close()
        assert not context.is_freed, "a thread is inside"
    assert codes == [2]
    assert context.is_freed


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=1.0, top_k=1, seed=3),
        SamplingParams(temperature=1.0, top_k=0, top_p=1e-6, min_p=0.0, seed=3),
        SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=1.0, seed=3),
        SamplingParams(temperature=1e-4, seed=3),
    ],
    ids=["top_k", "top_p", "min_p", "temperature"],
)
def test_a_filter_that_leaves_one_token_leaves_the_most_probable(params: SamplingParams) -> None:
    context = open_context()
    context.decode(rows((BOS, 0, 0), outputs=(0,)))
    greedy, filtered = context.new_sampler(GREEDY, ()), context.new_sampler(params, ())

    assert context.sample([filtered], [0]) == context.sample([greedy], [0])
    assert (greedy.n_draws, filtered.n_draws) == (0, 1)


def test_typical_sampling_leaves_fewer_tokens_than_none() -> None:
    context = open_context()
    context.decode(rows((BOS, 0, 0), outputs=(0,)))

    def chosen(typical_p: float) -> set[int]:
        samplers = [
            context.new_sampler(
                SamplingParams(temperature=1.0, typical_p=typical_p, min_p=0.0, seed=seed), ()
            )
            for seed in range(60)
        ]
        return set(context.sample(samplers, [0] * 60))

    assert chosen(0.2) < chosen(1.0)


def test_a_sampler_remembers_what_it_accepted() -> None:
    params = SamplingParams(temperature=0.0, presence_penalty=50.0, penalty_last_n=-1)
    context = open_context()
    context.decode(rows((BOS, 0, 0), outputs=(0,)))
    first = context.sample([context.new_sampler(params, ())], [0])[0]
    sampler = context.new_sampler(params, ())
    sampler.accept(first)

    assert context.sample([sampler], [0]) != [first]


def test_a_row_that_was_not_asked_for_cannot_be_sampled() -> None:
    context = open_context()
    sampler = context.new_sampler(GREEDY, ())
    with pytest.raises(StateError, match="rows"):
        context.sample([sampler], [0])
    context.decode(rows((BOS, 0, 0), outputs=(0,)))
    with pytest.raises(StateError, match="rows"):
        context.sample([sampler], [1])
