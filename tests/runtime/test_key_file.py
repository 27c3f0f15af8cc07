"""Saved turns of a root that others can write to are signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorllama import Config, open_runtime
from actorllama.errors import ConfigError, SnapshotNotFound
from actorllama.kvcache import CacheOptions


def signed(tmp_path: Path, name: str, key: bytes) -> Config:
    path = tmp_path / name
    path.write_bytes(key)
    return Config(cache=CacheOptions(mac_key_file=str(path), prefetch_bytes=0))


async def test_a_turn_signed_with_one_key_is_not_found_with_another_or_none(tmp_path: Path) -> None:
    mine, other = signed(tmp_path, "mine", b"m" * 32), signed(tmp_path, "other", b"o" * 32)
    state_dir = tmp_path / "state"
    async with open_runtime(mine, state_dir=state_dir) as rt:
        model = await rt.load("demo", n_seq=1, ctx_per_seq=128, n_threads=1)
        kept = await model.complete("Once", max_tokens=4, keep=True)
    assert kept.resume_key is not None
    for config in (other, Config()):
        async with open_runtime(config, state_dir=state_dir) as rt:
            model = await rt.load("demo", n_seq=1, ctx_per_seq=128, n_threads=1)
            with pytest.raises(SnapshotNotFound):
                await model.resume(kept.resume_key)
    async with open_runtime(mine, state_dir=state_dir) as rt:
        model = await rt.load("demo", n_seq=1, ctx_per_seq=128, n_threads=1)
        assert (await model.resume(kept.resume_key, max_tokens=2)).usage.source == "disk"


@pytest.mark.parametrize("n_bytes", [0, 15, 65])
async def test_a_key_of_another_length_is_refused(tmp_path: Path, n_bytes: int) -> None:
    with pytest.raises(ConfigError, match="16 to 64 bytes"):
        async with open_runtime(signed(tmp_path, "key", b"k" * n_bytes)):
            pass


async def test_a_key_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    config = Config(cache=CacheOptions(mac_key_file=str(tmp_path / "missing")))
    with pytest.raises(ConfigError, match=r"cache\.mac_key_file"):
        async with open_runtime(config):
            pass
