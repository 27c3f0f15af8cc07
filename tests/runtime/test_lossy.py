"""Rounded rows are used only where they were asked for, and said to be rounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorllama import Config, open_runtime
from actorllama.errors import SnapshotMismatch
from actorllama.kvcache import CacheOptions

PROMPT = "Once upon a time there was a small llama who lived on a hill. " * 6


def config(codec: str) -> Config:
    return Config(cache=CacheOptions(disk_codec=codec, prefetch_bytes=0))


def used_bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*.block"))


async def keep(codec: str, state_dir: Path) -> tuple[str, str]:
    """Keep a turn; return its key, and what it says unbroken."""
    async with open_runtime(config(codec), state_dir=state_dir) as rt:
        model = await rt.load("demo", n_seq=1, ctx_per_seq=512, n_threads=1)
        whole = await model.complete(PROMPT, max_tokens=12, seed=3, temperature=0.0)
        cut = await model.complete(PROMPT, max_tokens=4, seed=3, temperature=0.0, keep=True)
        assert whole.exactness == "exact"
    assert cut.resume_key is not None
    return cut.resume_key, whole.text


async def test_rounded_rows_are_smaller_and_a_turn_that_uses_them_says_so(tmp_path: Path) -> None:
    key, _ = await keep("q8", tmp_path / "q8")
    await keep("none", tmp_path / "none")
    assert used_bytes(tmp_path / "q8") < 0.6 * used_bytes(tmp_path / "none")
    async with open_runtime(config("q8"), state_dir=tmp_path / "q8") as rt:
        model = await rt.load("demo", n_seq=1, ctx_per_seq=512, n_threads=1)
        rest = await model.resume(key, max_tokens=8)
        assert (rest.usage.source, rest.exactness) == ("disk", "lossy")


async def test_a_lossless_lookup_never_finds_rounded_rows(tmp_path: Path) -> None:
    key, _ = await keep("q8", tmp_path)
    async with open_runtime(config("none"), state_dir=tmp_path) as rt:
        model = await rt.load("demo", n_seq=1, ctx_per_seq=512, n_threads=1)
        with pytest.raises(SnapshotMismatch):
            await model.resume(key)
        fresh = await model.complete(PROMPT, max_tokens=2)
    assert (fresh.usage.n_cached, fresh.exactness) == (0, "exact")


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
async def test_lossless_codecs_bring_every_bit_back_and_read_each_others_files(
    tmp_path: Path, codec: str
) -> None:
    key, whole = await keep(codec, tmp_path)
    for reader in (codec, "none"):
        async with open_runtime(config(reader), state_dir=tmp_path) as rt:
            model = await rt.load("demo", n_seq=1, ctx_per_seq=512, n_threads=1)
            rest = await model.resume(key, max_tokens=8, keep=False)
        assert (rest.usage.source, rest.exactness) == ("disk", "exact")
        assert whole.endswith(rest.text)
