"""llama.cpp itself, through our door: batches, sequences, states, and memory that outlives its users."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from actorllama.demo import model_path
from actorllama.errors import DecodeError, ModelLoadError, RequestError, StateError
from actorllama.native import ContextOptions, ModelOptions, SamplingParams, StepBatch
from actorllama.native.llama import LlamaBackend
from actorllama.native.llama.context import LlamaContext
from actorllama.native.llama.model import LlamaModel

pytestmark = pytest.mark.model

GREEDY = SamplingParams(temperature=0.0)


@pytest.fixture(scope="module")
def backend() -> LlamaBackend:
    """Start llama.cpp."""
    return LlamaBackend()


@pytest.fixture(scope="module")
def model(backend: LlamaBackend) -> Iterator[LlamaModel]:
    """Load the demo model once."""
    loaded = backend.load(model_path(), ModelOptions(), lambda _: True)
    yield loaded
    loaded.close()


@pytest.fixture
def context(model: LlamaModel) -> Iterator[LlamaContext]:
    """Open a small context."""
    opened = model.open_context(ContextOptions(n_seq=3, ctx_per_seq=256, n_batch=64))
    yield opened
    opened.close()
    assert opened.is_freed


def batch_of(
    tokens: list[int], *, seq_id: int = 0, first: int = 0, outputs: list[int] | None = None
) -> StepBatch:
    """Put tokens one after the other into a sequence."""
    n = len(tokens)
    return StepBatch(
        tokens=tokens,
        positions=list(range(first, first + n)),
        seq_ids=[seq_id] * n,
        outputs=[n - 1] if outputs is None else outputs,
    )


def generate(context: LlamaContext, prompt: list[int], *, seq_id: int = 0, n_tokens: int = 8) -> list[int]:
    """Take greedy tokens from one sequence."""
    sampler = context.new_sampler(GREEDY, prompt)
    context.decode(batch_of(prompt, seq_id=seq_id))
    tokens = context.sample([sampler], [0])
    for _ in range(n_tokens - 1):
        context.decode(batch_of(tokens[-1:], seq_id=seq_id, first=len(prompt) + len(tokens) - 1))
        tokens += context.sample([sampler], [0])
    sampler.close()
    return tokens


def prompt_of(model: LlamaModel, text: str = "hello there") -> list[int]:
    return model.vocabulary.tokenize(text, add_special=True, parse_special=False)


def test_the_build_tells_what_it_is(backend: LlamaBackend) -> None:
    info = backend.build_info()
    assert info.library == "llama.cpp"
    assert info.max_seq >= 256
    assert info.devices


def test_the_facts_of_the_demo_model(model: LlamaModel) -> None:
    facts = model.facts
    assert facts.architecture == "llama"
    assert facts.n_ctx_train >= 2048
    assert facts.chat_template
    assert facts.n_vocab == model.vocabulary.n_vocab
    assert facts.eos in model.vocabulary.end_tokens


def test_progress_goes_to_one_and_can_stop_a_load(backend: LlamaBackend) -> None:
    seen: list[float] = []

    def note(fraction: float) -> bool:
        seen.append(fraction)
        return True

    backend.load(model_path(), ModelOptions(), note).close()
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    with pytest.raises(ModelLoadError, match="stopped"):
        backend.load(model_path(), ModelOptions(), lambda _: False)


@pytest.mark.parametrize("text", ["hello", "", " ", "ä€🦙", "a\nb\tc", "<|not a token|>", "\0", "x" * 5000])
def test_text_survives_the_vocabulary(model: LlamaModel, text: str) -> None:
    tokens = model.vocabulary.tokenize(text, add_special=False, parse_special=False)
    assert b"".join(map(model.vocabulary.piece, tokens)).decode().removeprefix(" ") == text.removeprefix(" ")


def test_half_a_surrogate_and_a_token_out_of_range_are_refused(model: LlamaModel) -> None:
    with pytest.raises(RequestError, match="surrogate"):
        model.vocabulary.tokenize("\ud800", add_special=False, parse_special=False)
    for token in (-1, model.vocabulary.n_vocab, 2**40):
        with pytest.raises(RequestError, match="token ids are"):
            model.vocabulary.piece(token)


def test_tokenising_is_safe_from_many_threads(model: LlamaModel) -> None:
    texts = [f"thread {index} says hello " * 20 for index in range(32)]
    alone = [prompt_of(model, text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(partial(prompt_of, model), texts)) == alone


def test_sequences_do_not_know_of_each_other(model: LlamaModel, context: LlamaContext) -> None:
    prompt = prompt_of(model)
    alone = generate(context, prompt)
    context.clear_sequence(0)
    generate(context, prompt_of(model, "something else"), seq_id=1)

    assert generate(context, prompt, seq_id=2) == alone


def test_a_state_goes_to_another_sequence_and_the_turn_goes_on(
    model: LlamaModel, context: LlamaContext
) -> None:
    prompt = prompt_of(model)
    want = generate(context, prompt, n_tokens=10)
    context.clear_sequence(0)
    begun = generate(context, prompt, n_tokens=5)
    data = bytearray(context.state_bytes(0))
    assert context.get_state(0, memoryview(data)) == len(data)
    context.set_state(2, memoryview(data), n_cells=len(prompt) + 4)
    assert context.position_range(2) == (0, len(prompt) + 3)

    sampler = context.new_sampler(GREEDY, ())
    tokens = begun[:]
    for _ in range(5):
        context.decode(batch_of(tokens[-1:], seq_id=2, first=len(prompt) + len(tokens) - 1))
        tokens += context.sample([sampler], [0])
    sampler.close()
    assert tokens == want


@pytest.mark.parametrize("damage", ["cut", "longer", "nothing", "noise"])
def test_a_state_that_does_not_fit_is_refused_and_the_sequence_is_empty(
    model: LlamaModel, context: LlamaContext, damage: str
) -> None:
    context.decode(batch_of(prompt_of(model)))
    data = bytearray(context.state_bytes(0))
    context.get_state(0, memoryview(data))
    damaged = {
        "cut": data[:-5],
        "longer": data + b"x",
        "nothing": bytearray(1),
        "noise": bytearray(b"\xff" * 64),
    }
    with pytest.raises(StateError):
        context.set_state(1, memoryview(damaged[damage]), n_cells=len(prompt_of(model)))
    assert context.position_range(1) is None
    assert context.position_range(0) is not None


def test_a_buffer_that_is_too_small_is_refused(model: LlamaModel, context: LlamaContext) -> None:
    context.decode(batch_of(prompt_of(model)))
    with pytest.raises(StateError, match="do not fit"):
        context.get_state(0, memoryview(bytearray(10)))


def test_cells_can_be_removed_and_computed_again(model: LlamaModel, context: LlamaContext) -> None:
    prompt = prompt_of(model)
    want = generate(context, prompt)
    assert context.remove_cells(0, len(prompt) - 2, 1000)
    assert context.position_range(0) == (0, len(prompt) - 3)
    context.decode(batch_of(prompt[-2:], first=len(prompt) - 2))
    sampler = context.new_sampler(GREEDY, ())
    assert context.sample([sampler], [0]) == want[:1]
    sampler.close()


@pytest.mark.parametrize("seq_id", [-1, 3, 10**6])
def test_a_sequence_that_is_not_there_never_reaches_c(context: LlamaContext, seq_id: int) -> None:
    """llama.cpp would end the process."""
    for use in (context.clear_sequence, context.position_range, context.state_bytes):
        with pytest.raises(StateError, match="sequence"):
            use(seq_id)
    with pytest.raises(StateError):
        context.set_state(seq_id, memoryview(b"x"), n_cells=1)


@pytest.mark.parametrize(("first", "end"), [(-1, 3), (3, 2)])
def test_a_range_of_positions_that_is_none_is_refused(context: LlamaContext, first: int, end: int) -> None:
    with pytest.raises(StateError, match="positions"):
        context.remove_cells(0, first, end)


def test_a_batch_that_does_not_fit_is_refused(context: LlamaContext) -> None:
    with pytest.raises(StateError, match="a batch of"):
        context.decode(batch_of([1] * 65))
    with pytest.raises(StateError, match="a batch of"):
        context.decode(StepBatch(tokens=[], positions=[], seq_ids=[], outputs=[]))


@pytest.mark.parametrize(
    "bad",
    [
        StepBatch(tokens=[10**6], positions=[0], seq_ids=[0], outputs=[0]),
        StepBatch(tokens=[-5], positions=[0], seq_ids=[0], outputs=[0]),
        StepBatch(tokens=[5], positions=[0], seq_ids=[3], outputs=[0]),
        StepBatch(tokens=[5, 5], positions=[0, 5], seq_ids=[0, 0], outputs=[1]),
    ],
    ids=["no such token", "negative token", "no such sequence", "a hole in the positions"],
)
def test_a_batch_that_llama_cpp_refuses_is_a_decode_error_and_the_process_lives(
    model: LlamaModel, context: LlamaContext, bad: StepBatch
) -> None:
    with pytest.raises(DecodeError) as refused:
        context.decode(bad)
    assert refused.value.code == -1
    assert generate(context, prompt_of(model), seq_id=1)


def test_columns_of_different_length_never_reach_c(context: LlamaContext) -> None:
    with pytest.raises((StateError, ValueError)):
        context.decode(StepBatch(tokens=[5, 6], positions=[0], seq_ids=[0, 0], outputs=[1]))


def test_a_full_sequence_says_that_there_is_no_room(model: LlamaModel) -> None:
    context = model.open_context(ContextOptions(n_seq=1, ctx_per_seq=256, n_batch=256))
    context.decode(batch_of([5] * 256))
    with pytest.raises(DecodeError) as full:
        context.decode(batch_of([5], first=256))
    assert full.value.is_retryable
    context.close()


def test_after_closing_every_call_is_refused(model: LlamaModel) -> None:
    context = model.open_context(ContextOptions(n_seq=1, ctx_per_seq=256))
    context.close()
    context.close()
    with pytest.raises(StateError, match="closed"):
        context.decode(batch_of([5]))
    with pytest.raises(StateError, match="closed"):
        context.clear_sequence(0)


def test_closing_during_a_step_waits_for_the_thread_and_frees_once(model: LlamaModel) -> None:
    context = model.open_context(ContextOptions(n_seq=1, ctx_per_seq=2048, n_batch=2048))
    ended: list[object] = []
    is_going = threading.Event()

    def decode() -> None:
        is_going.set()
        try:
            context.decode(batch_of([5] * 2048))
            ended.append("computed")
        except (DecodeError, StateError) as error:
            ended.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    is_going.wait(5)
    context.close()
    thread.join(30)
    assert len(ended) == 1
    assert context.is_freed


def test_weights_stay_until_their_last_context_is_gone(backend: LlamaBackend) -> None:
    loaded = backend.load(model_path(), ModelOptions(), lambda _: True)
    context = loaded.open_context(ContextOptions(n_seq=1, ctx_per_seq=256))
    prompt = prompt_of(loaded)
    loaded.close()
    assert loaded.vocabulary.is_closed
    assert generate(context, prompt)
    with pytest.raises(StateError, match="closed"):
        loaded.open_context(ContextOptions(n_seq=1, ctx_per_seq=256))
    with pytest.raises(StateError, match="closed"):
        loaded.vocabulary.tokenize("x", add_special=False, parse_special=False)
    context.close()


@pytest.mark.parametrize("kind", ["missing", "a directory", "empty", "text", "cut", "with a NUL in its name"])
def test_a_file_that_is_no_model_is_refused_by_path_and_the_process_lives(
    backend: LlamaBackend, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "model.gguf"
    match kind:
        case "a directory":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("This is no model." * 100)
        case "cut":
            path.write_bytes(model_path().read_bytes()[:100_000])
        case "with a NUL in its name":
            path = Path("a\0b.gguf")
        case _:
            pass
    with pytest.raises(ModelLoadError) as refused:
        backend.load(path, ModelOptions(), lambda _: True)
    assert str(path) in refused.value.path
    assert refused.value.reason
