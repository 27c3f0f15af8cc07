"""How much the latest turn's state takes is read from names and one head, and never in doubt's way."""

from __future__ import annotations

import os
from pathlib import Path

from actorllama.kvcache import DiskTier
from tests.kvcache.samples import snapshot_of, state_of


def tier_at(root: Path) -> DiskTier:
    tier = DiskTier(root, limit_bytes=1 << 20)
    tier.sweep()
    return tier


def test_it_is_what_the_parts_of_the_turn_used_last_take_and_once_more_the_largest(tmp_path: Path) -> None:
    turns = [state_of(1, n_bytes=100), state_of(2, n_bytes=3000)]
    first = DiskTier(tmp_path, limit_bytes=1 << 20)
    for turn in turns:
        first.put_all(turn)
    expected: list[int] = []
    for turn in turns:
        parts = {entry.key for entry in turn[:4]}
        sizes = [path.stat().st_size for path in tmp_path.rglob("*.b*") if path.name[:32] in parts]
        assert len(sizes) == 4
        expected.append(sum(sizes) + max(sizes))
    assert tier_at(tmp_path).latest_state_bytes() == expected[1]
    (path,) = tmp_path.rglob(f"{turns[0][-1].key}.kv")
    os.utime(path, ns=(1 << 62, 1 << 62))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    assert tier_at(tmp_path).latest_state_bytes() == expected[0]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before, "it only looks"


def test_of_a_turn_with_rows_of_its_own_it_is_those(tmp_path: Path) -> None:
    DiskTier(tmp_path, limit_bytes=1 << 20).put(snapshot_of(n_kv=64))
    assert tier_at(tmp_path).latest_state_bytes() == 128


def test_without_a_turn_or_with_a_damaged_one_it_is_nothing(tmp_path: Path) -> None:
    assert tier_at(tmp_path).latest_state_bytes() == 0
    first = DiskTier(tmp_path, limit_bytes=1 << 20)
    first.put_all(state_of()[:4])
    assert tier_at(tmp_path).latest_state_bytes() == 0
    first.put_all(state_of())
    (path,) = tmp_path.rglob("*.kv")
    path.write_bytes(path.read_bytes()[:-1])
    assert tier_at(tmp_path).latest_state_bytes() == 0
    assert path.exists()
