"""llama.cpp's compute threads: kept from step to step, by each thread that decodes, until it ends."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Protocol

import pytest

from actorllama.demo import model_path
from actorllama.errors import DecodeError
from actorllama.native import ContextOptions, ModelOptions, StepBatch
from actorllama.native.llama import LlamaBackend, kept_threads
from actorllama.native.llama.context import LlamaContext
from actorllama.native.llama.model import LlamaModel

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc"),
]
_PROMPT = range(3, 19)


class OpenContext(Protocol):
    """Open a context that is closed when the test ends."""

    def __call__(self, *, n_threads: int = 2, keeps_threads: bool = True) -> LlamaContext: ...


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaModel]:
    backend = LlamaBackend()
    if backend.build_info().has_openmp:
        pytest.skip("built with OpenMP, whose own pool keeps its threads")
    loaded = backend.load(model_path(), ModelOptions(), lambda _fraction: True)
    yield loaded
    loaded.close()


@pytest.fixture
def open_context(model: LlamaModel) -> Iterator[OpenContext]:
    opened: list[LlamaContext] = []

    def open_one(*, n_threads: int = 2, keeps_threads: bool = True) -> LlamaContext:
        options = ContextOptions(
            n_seq=2, ctx_per_seq=64, n_batch=32, n_threads=n_threads, keeps_threads=keeps_threads
        )
        opened.append(model.open_context(options))
        return opened[-1]

    yield open_one
    for context in opened:
        context.close()


def digests(context: LlamaContext, *, first: int = 0, n: int = 4) -> list[bytes]:
    """Decode a prompt, if it is the first time, and some tokens more."""
    found: list[bytes] = []
    if first == 0:
        n_prompt = len(_PROMPT)
        context.decode(
            StepBatch(
                tokens=_PROMPT, positions=range(n_prompt), seq_ids=[0] * n_prompt, outputs=[n_prompt - 1]
            )
        )
        found.append(context.logits_digest(0))
    for step in range(first, first + n):
        context.decode(
            StepBatch(tokens=[40 + step], positions=[len(_PROMPT) + step], seq_ids=[0], outputs=[0])
        )
        found.append(context.logits_digest(0))
    return found


def native_threads() -> frozenset[str]:
    return frozenset(os.listdir("/proc/self/task"))  # noqa: PTH208 - names, not paths


def n_since(before: frozenset[str]) -> int:
    """Count those that are new: of the others any may end meanwhile, such as a test's before this one."""
    return len(native_threads() - before)


def in_thread(work: Callable[[], list[bytes]]) -> list[bytes]:
    """Do it in a thread of its own, which has ended when this returns."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.extend(work()))
    thread.start()
    thread.join()
    return found


def wait_for_threads(n: int, *, since: frozenset[str]) -> int:
    """Wait until no more than ``n`` new ones are left: one that has been joined is listed a moment longer."""
    give_up_s = monotonic() + 5.0
    while (left := n_since(since)) > n and monotonic() < give_up_s:
        gc.collect()
        threading.Event().wait(0.01)
    return left


def test_what_is_computed_does_not_depend_on_it(open_context: OpenContext) -> None:
    plain = digests(open_context(keeps_threads=False))
    assert digests(open_context()) == plain
    assert digests(open_context(n_threads=1)) == plain


def test_contexts_of_one_thread_share_them_and_they_end_with_it(
    open_context: OpenContext,
) -> None:
    before = native_threads()
    contexts = [open_context(), open_context()]
    counts: list[int] = []

    def decode_in_turn() -> list[bytes]:
        both = [digests(context) for context in contexts]
        counts.append(n_since(before))
        assert both[0] == both[1]
        return both[0]

    in_thread(decode_in_turn)
    assert counts == [1 + 1]  # this thread, and one that helps it
    assert wait_for_threads(1, since=before) == 1  # the contexts still know it
    for context in contexts:
        context.close()
    assert wait_for_threads(0, since=before) == 0


def test_a_context_goes_on_in_another_thread(open_context: OpenContext) -> None:
    whole = digests(open_context(keeps_threads=False), n=12)
    context = open_context()
    before = native_threads()
    found = in_thread(lambda: digests(context))
    for first in (4, 8):
        found += in_thread(lambda first=first: digests(context, first=first))  # type: ignore[misc]
    assert found == whole
    # Those of the threads that have ended are gone; the context still knows the last one's.
    assert wait_for_threads(1, since=before) == 1


def test_after_an_abort_they_compute_for_the_next_context(open_context: OpenContext) -> None:
    plain = digests(open_context(keeps_threads=False))
    first, second = open_context(), open_context()

    def abort_and_go_on() -> list[bytes]:
        digests(first)
        first.clear_sequence(0)
        first.abort()
        with pytest.raises(DecodeError) as caught:
            digests(first)
        assert caught.value.code == 2  # GGML_STATUS_ABORTED
        return digests(second)

    assert in_thread(abort_and_go_on) == plain


def test_a_build_with_other_parameters_does_without(
    open_context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_otherwise(parameters: object, n_threads: int) -> None:
        """Leave everything 0: the number of threads lies elsewhere."""

    def create_nothing(parameters: object) -> int:
        raise AssertionError("made a pool of parameters that it does not know")

    monkeypatch.setattr(kept_threads, "_pool_functions", lambda: (fill_otherwise, create_nothing, print))
    plain = digests(open_context(keeps_threads=False))
    assert in_thread(lambda: digests(open_context())) == plain


def test_a_single_thread_keeps_none(open_context: OpenContext) -> None:
    context = open_context(n_threads=1)
    before = native_threads()
    digests(context)
    assert n_since(before) == 0


def test_without_keeping_they_end_with_each_call(open_context: OpenContext) -> None:
    context = open_context(keeps_threads=False)
    before = native_threads()
    digests(context)
    assert wait_for_threads(0, since=before) == 0
