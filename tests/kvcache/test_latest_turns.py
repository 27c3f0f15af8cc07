"""The turns used last are found by names and heads, and nothing in doubt is among them."""

from __future__ import annotations

import os
from pathlib import Path

from actorllama.kvcache import DiskTier, Snapshot
from tests.kvcache.samples import NAMESPACE, snapshot_of, state_of


def tier_at(root: Path) -> DiskTier:
    tier = DiskTier(root, limit_bytes=1 << 20)
    tier.sweep()
    return tier


def state_bytes(root: Path) -> int:
    return tier_at(root).latest_turns().state_bytes


def test_a_state_takes_what_its_parts_take_and_once_more_the_largest(tmp_path: Path) -> None:
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
    assert state_bytes(tmp_path) == expected[1]
    (path,) = tmp_path.rglob(f"{turns[0][-1].key}.kv")
    os.utime(path, ns=(1 << 62, 1 << 62))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    assert state_bytes(tmp_path) == expected[0]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before, "it only looks"


def test_a_turn_with_rows_of_its_own_takes_those(tmp_path: Path) -> None:
    DiskTier(tmp_path, limit_bytes=1 << 20).put(snapshot_of(n_kv=64))
    assert state_bytes(tmp_path) == 128


def test_no_turn_is_found_where_there_is_none_or_a_damaged_one(tmp_path: Path) -> None:
    assert state_bytes(tmp_path) == 0
    first = DiskTier(tmp_path, limit_bytes=1 << 20)
    first.put_all(state_of()[:4])
    assert state_bytes(tmp_path) == 0
    first.put_all(state_of())
    (path,) = tmp_path.rglob("*.kv")
    path.write_bytes(path.read_bytes()[:-1])
    assert state_bytes(tmp_path) == 0
    assert path.exists()


def test_the_latest_comes_first_and_what_two_have_in_common_counts_once(tmp_path: Path) -> None:
    first = DiskTier(tmp_path, limit_bytes=1 << 20)
    turns = [state_of(number, n_bytes=1000) for number in (1, 2, 3)]
    for age, turn in enumerate(turns):
        first.put_all(turn)
        (path,) = tmp_path.rglob(f"{turn[-1].key}.kv")
        os.utime(path, ns=(1 << 60, (1 << 60) - age))
    found = tier_at(tmp_path).latest_turns().turns
    assert [one.key for one in found] == [turn[-1].key for turn in turns]
    for one, turn in zip(found, turns, strict=True):
        assert one.parts == tuple(entry.key for entry in turn[:-1])
        assert one.n_bytes == sum(entry.n_bytes for entry in turn)
    before = turns[0][-1]
    assert isinstance(before, Snapshot)
    again = Snapshot(
        namespace=NAMESPACE,
        tokens=(*before.tokens[:-1], 77),
        n_prompt=2,
        sampler=b"sampler record",
        block_tokens=4,
        has_boundary=True,
        created_s=1_790_000_000.5,
    )
    first.put_all((*turns[0][:-1], again))
    (path,) = tmp_path.rglob(f"{again.key}.kv")
    os.utime(path, ns=(1 << 61, 1 << 61))
    two = tier_at(tmp_path).latest_turns().turns[:2]
    assert [one.key for one in two] == [again.key, turns[0][-1].key]
    assert two[0].parts == two[1].parts
    assert two[1].n_bytes == turns[0][-1].n_bytes


def test_a_turn_that_does_not_fit_into_the_limit_is_passed_over(tmp_path: Path) -> None:
    first = DiskTier(tmp_path, limit_bytes=1 << 20)
    large, small = state_of(1, n_bytes=9000), state_of(2, n_bytes=10)
    for turn in (small, large):
        first.put_all(turn)
    (path,) = tmp_path.rglob(f"{large[-1].key}.kv")
    os.utime(path, ns=(1 << 62, 1 << 62))
    tier = tier_at(tmp_path)
    small_bytes = sum(entry.n_bytes for entry in small)
    large_bytes = sum(entry.n_bytes for entry in large)
    assert [one.key for one in tier.latest_turns(limit_bytes=large_bytes - 1).turns] == [small[-1].key]
    assert [one.key for one in tier.latest_turns(limit_bytes=large_bytes).turns] == [large[-1].key]
    both = tier.latest_turns(limit_bytes=large_bytes + small_bytes).turns
    assert [one.key for one in both] == [large[-1].key, small[-1].key]
    assert tier.latest_turns(limit_bytes=small_bytes - 1).turns == ()
    assert tier.latest_turns(limit_bytes=0).state_bytes == tier.latest_turns().state_bytes > 0, (
        "of the latest"
    )
