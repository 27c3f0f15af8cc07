"""A turn that was kept goes on as if it had never stopped."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack

import pytest
import trio

from actorllama import demo
from actorllama.errors import ContextFull, RequestError, SnapshotMismatch, SnapshotNotFound
from actorllama.runtime import LoadOptions, Model, SamplingOptions, open_runtime
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage

CHAIN: SamplingOptions = {
    "temperature": 0.8,
    "seed": 11,
    "repeat_penalty": 1.1,
    "frequency_penalty": 0.1,
    "dry_multiplier": 0.8,
    "xtc_probability": 0.3,
    "xtc_threshold": 0.05,
    "min_p": 0.01,
}
GRAMMAR: SamplingOptions = {**CHAIN, "grammar": "root ::= [a-z ]+"}


@asynccontextmanager
async def open_demo(
    state_dir: Path | None = None, **options: Unpack[LoadOptions]
) -> AsyncGenerator[Model, None]:
    settings: LoadOptions = {"n_seq": 4, "ctx_per_seq": 512, "n_threads": 1, **options}
    async with open_runtime(state_dir=state_dir) as rt:
        yield await rt.load("demo", demo.model_path(), **settings)


@asynccontextmanager
async def open_fake() -> AsyncGenerator[Model, None]:
    async with open_runtime(backend=FakeBackend(FakeLanguage(end_one_in=0))) as rt:
        yield await rt.load("fake", Path("fake.gguf"), n_seq=2, ctx_per_seq=128)


def flip_byte(root: Path, key: str, *, at: int) -> None:
    (file,) = [path for path in root.rglob("*") if path.is_file() and key in path.name]
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def damage_rows(root: Path, *, spare: str) -> int:
    files = [path for path in (root / "snapshots").rglob("*") if path.is_file() and path.stat().st_size > 500]
    rows = [path for path in files if spare not in path.name]
    for path in rows:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    return len(rows)


@pytest.mark.parametrize("options", [CHAIN, GRAMMAR], ids=["chain", "grammar"])
@pytest.mark.parametrize("n_first", [1, 7, 20])
async def test_a_turn_cut_anywhere_goes_on_with_the_tokens_of_the_unbroken_one(
    options: SamplingOptions, n_first: int
) -> None:
    async with open_demo() as model:
        whole = await model.complete("Once there was", max_tokens=40, **options)
        first = await model.complete("Once there was", max_tokens=n_first, keep=True, **options)
        assert first.resume_key is not None
        rest = await model.resume(first.resume_key, max_tokens=40 - n_first)

    assert first.tokens + rest.tokens == whole.tokens
    assert first.text + rest.text == whole.text
    assert first.n_draws <= rest.n_draws == whole.n_draws
    assert rest.usage.n_cached == rest.usage.n_prompt - 1


async def test_it_goes_on_beside_other_turns_and_in_another_sequence() -> None:
    async with open_demo() as model:
        whole = await model.complete("Once there was", max_tokens=40, **CHAIN)
        first = await model.complete("Once there was", max_tokens=15, keep=True, **CHAIN)
        assert first.resume_key is not None
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lambda: model.complete("A dog", max_tokens=60))
            rest = await model.resume(first.resume_key, max_tokens=25)

    assert first.tokens + rest.tokens == whole.tokens


async def test_it_goes_on_after_the_runtime_has_ended(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as model:
        whole = await model.complete("Once there was", max_tokens=40, **GRAMMAR)
        first = await model.complete("Once there was", max_tokens=15, keep=True, **GRAMMAR)
    assert first.resume_key is not None
    async with open_demo(tmp_path) as model:
        rest = await model.resume(first.resume_key, max_tokens=25)

    assert first.tokens + rest.tokens == whole.tokens
    assert first.text + rest.text == whole.text


@pytest.mark.parametrize(
    ("saved_by", "resumed_by"),
    [
        ({"n_seq": 1, "ctx_per_seq": 128}, {"n_seq": 4, "ctx_per_seq": 512}),
        ({"n_seq": 3, "ctx_per_seq": 512}, {"n_seq": 1, "ctx_per_seq": 64}),
    ],
)
async def test_it_goes_on_in_a_context_of_another_size(
    tmp_path: Path, saved_by: LoadOptions, resumed_by: LoadOptions
) -> None:
    """However small: that llama.cpp computes no more at once than a context holds changes no sequence."""
    async with open_demo(tmp_path, **saved_by) as model:
        whole = await model.complete("Once there was", max_tokens=40, **CHAIN)
        first = await model.complete("Once there was", max_tokens=15, keep=True, **CHAIN)
    assert first.resume_key is not None
    async with open_demo(tmp_path, **resumed_by) as model:
        rest = await model.resume(first.resume_key, max_tokens=25)

    assert first.tokens + rest.tokens == whole.tokens
    assert rest.usage.n_cached == rest.usage.n_prompt - 1
    assert rest.usage.source in ("ram", "disk"), "whether it was read ahead by then is not said"


async def test_two_turns_fork_from_one_key_and_another_seed_tells_another_story() -> None:
    async with open_demo() as model:
        first = await model.complete("Once there was", max_tokens=10, keep=True, temperature=1.5, seed=1)
        assert first.resume_key is not None
        same = [await model.resume(first.resume_key, max_tokens=20) for _ in range(2)]
        other = await model.resume(first.resume_key, max_tokens=20, seed=2)

    assert same[0].tokens == same[1].tokens
    assert other.tokens != same[0].tokens
    assert other.usage.n_cached == other.usage.n_prompt - 1


async def test_a_stop_string_spread_over_the_cut_ends_the_turn_where_it_would_have() -> None:
    async with open_fake() as model:
        whole = await model.complete("hello", max_tokens=60, temperature=0.0)
        for at in range(2, 12):
            stop = whole.text[at : at + 4]
            want = await model.complete("hello", max_tokens=60, temperature=0.0, stop=stop)
            for n_first in range(1, len(want.tokens)):
                first = await model.complete(
                    "hello", max_tokens=n_first, temperature=0.0, stop=stop, keep=True
                )
                assert first.resume_key is not None
                rest = await model.resume(first.resume_key, max_tokens=60 - n_first)
                assert first.tokens + rest.tokens == want.tokens
                assert (rest.finish_reason, rest.stop) == ("stop", stop)
                # What the first part showed of it cannot be taken back; nothing is shown twice.
                shown = first.text + rest.text
                assert shown == want.text + stop[: len(shown) - len(want.text)]


async def test_without_keep_there_is_no_key_and_an_unknown_key_is_told() -> None:
    async with open_fake() as model:
        assert (await model.complete("hello", max_tokens=3)).resume_key is None
        with pytest.raises(SnapshotNotFound, match="0123"):
            await model.resume("0123")
        with pytest.raises(RequestError, match="resume_key"):
            await model.resume("")
        assert (await model.complete("hello", max_tokens=3)).finish_reason == "length"


async def test_a_turn_goes_on_among_another_number_of_sequences(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as model:
        whole = await model.complete("Once there was", max_tokens=15, **CHAIN)
        first = await model.complete("Once there was", max_tokens=5, keep=True, **CHAIN)
    assert first.resume_key is not None
    async with open_demo(tmp_path, n_seq=2) as model:
        rest = await model.resume(first.resume_key, max_tokens=10)
    assert (first.tokens + rest.tokens, rest.exactness) == (whole.tokens, "exact")


async def test_a_key_of_another_layout_is_refused(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as model:
        first = await model.complete("Once there was", max_tokens=5, keep=True)
    assert first.resume_key is not None
    async with open_demo(tmp_path, flash_attention=True) as model:
        with pytest.raises(SnapshotMismatch):
            await model.resume(first.resume_key)


async def test_logprobs_are_those_of_the_model_before_any_sampler() -> None:
    async with open_demo() as model:
        greedy = await model.complete("Once there was", max_tokens=8, temperature=0.0, logprobs=3)
        biased = await model.complete(
            "Once there was", max_tokens=1, temperature=0.0, logprobs=3, logit_bias={greedy.tokens[0]: -100.0}
        )
    assert greedy.logprobs is not None
    assert biased.logprobs is not None
    assert len(greedy.logprobs) == len(greedy.tokens)
    for token, item in zip(greedy.tokens, greedy.logprobs, strict=True):
        assert (item.token, item.logprob) == (token, item.top[0][1])
        assert item.top[0][0] == token
        assert item.logprob <= 0.0
    assert biased.tokens[0] != greedy.tokens[0]
    assert biased.logprobs[0].top == greedy.logprobs[0].top


async def test_a_turn_whose_rows_are_damaged_is_computed_again_and_says_so(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as model:
        whole = await model.complete("Once there was", max_tokens=30, **CHAIN)
        first = await model.complete("Once there was", max_tokens=20, keep=True, **CHAIN)
    assert first.resume_key is not None
    assert damage_rows(tmp_path, spare=first.resume_key) > 0
    async with open_demo(tmp_path) as model:
        rest = await model.resume(first.resume_key, max_tokens=10)
    assert (rest.exactness, rest.usage.n_cached) == ("recomputed", 0)
    assert first.tokens + rest.tokens == whole.tokens


@pytest.mark.parametrize("cut", [0, 10, 400, -1])
async def test_a_damaged_file_is_a_miss_and_the_next_turn_works(tmp_path: Path, cut: int) -> None:
    async with open_demo(tmp_path) as model:
        first = await model.complete("Once there was", max_tokens=5, keep=True)
    assert first.resume_key is not None
    flip_byte(tmp_path, first.resume_key, at=cut)
    async with open_demo(tmp_path) as model:
        with pytest.raises(SnapshotNotFound):
            await model.resume(first.resume_key)
        assert (await model.complete("Once there was", max_tokens=5)).tokens == first.tokens


async def test_a_turn_kept_when_one_cell_was_left_still_gets_its_last_token() -> None:
    async with open_fake() as model:
        whole = await model.complete("hello", temperature=0.0)
        assert whole.finish_reason == "context"
        first = await model.complete("hello", temperature=0.0, max_tokens=len(whole.tokens) - 1, keep=True)
        assert first.resume_key is not None
        rest = await model.resume(first.resume_key)

        assert first.tokens + rest.tokens == whole.tokens
        assert rest.resume_key is not None
        with pytest.raises(ContextFull):
            await model.resume(rest.resume_key)
