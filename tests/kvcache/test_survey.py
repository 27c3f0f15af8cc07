"""A root looked at from outside, and tidied: nothing is believed, and looking changes nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from actorllama.errors import CacheError, SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache import (
    Boundary,
    Buffer,
    KnownFile,
    Snapshot,
    StoredEntry,
    Survey,
    chain_of,
    clear,
    plan_down_to,
)
from actorllama.kvcache.chain import pack_tokens
from actorllama.kvcache.payload import seal
from actorllama.telemetry import StrictBus
from tests.kvcache.samples import FaultyFiles, failing, path_of, snapshot_of, state_of, tier_at

STATE = state_of(1)
MAC_KEY = bytes(range(32))
LIMIT = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tier_at(tmp_path, bus=StrictBus()).put_all(STATE)
    return tmp_path


def file_of(survey: Survey, entry: StoredEntry) -> KnownFile:
    return next(one for one, _ in survey.entries() if one.key == entry.key)


def test_each_entry_is_read_as_it_was_put(root: Path) -> None:
    survey = Survey(root)
    for entry in STATE:
        assert survey.read(file_of(survey, entry), limit_bytes=LIMIT) == entry
    assert survey.used_bytes == sum(entry.n_bytes for entry in STATE)


def test_a_head_says_what_the_entry_says(root: Path) -> None:
    survey = Survey(root)
    block, snapshot = survey.head(file_of(survey, STATE[1])), survey.head(file_of(survey, STATE[-1]))
    assert block is not None
    assert snapshot is not None
    assert (block.kind, block.parent, block.n_tokens, block.root) == ("block", STATE[0].key, 4, None)
    assert block.parts() == ()
    assert snapshot.parts() == tuple(entry.key for entry in STATE[:-1])
    assert (snapshot.packed, snapshot.n_prompt) == (pack_tokens((1, *range(2, 15))), 2)
    assert (snapshot.codec, snapshot.block_tokens) == ("none", 4)
    assert list(survey.turns()) == [(file_of(survey, STATE[-1]), snapshot)]


@pytest.mark.parametrize("n_tokens", [1, 2, 4, 5, 6, 9, 12])
@pytest.mark.parametrize("has_blocks", [True, False])
def test_a_head_knows_the_rows_of_any_snapshot(tmp_path: Path, n_tokens: int, has_blocks: bool) -> None:
    snapshot = Snapshot(
        namespace="abc",
        tokens=range(n_tokens),
        n_prompt=1,
        sampler=b"",
        block_tokens=4,
        has_blocks=has_blocks,
        has_boundary=n_tokens % 2 == 0,
        created_s=1.0,
    )
    tier_at(tmp_path, bus=StrictBus()).put(snapshot)
    survey = Survey(tmp_path)
    head = survey.head(file_of(survey, snapshot))
    assert head is not None
    assert head.parts() == snapshot.parts
    assert survey.lineage().missing(snapshot.key) == snapshot.parts


def test_a_boundary_of_a_model_without_blocks_stands_alone(tmp_path: Path) -> None:
    tokens = tuple(range(1, 12))
    chain = chain_of("abc", tokens[:-1], block_tokens=4)
    boundary = Boundary(parent=chain.parent, tail=chain.tail, payload=b"recurrent")
    snapshot = Snapshot(
        namespace="abc",
        tokens=tokens,
        n_prompt=1,
        sampler=b"",
        block_tokens=4,
        has_blocks=False,
        has_boundary=True,
        created_s=1.0,
    )
    tier_at(tmp_path, bus=StrictBus()).put_all((boundary, snapshot))
    lineage = Survey(tmp_path).lineage()
    assert lineage.missing(snapshot.key) == ()
    assert lineage.namespaces_of([boundary.key]) == {boundary.key: "abc"}
    assert lineage.orphans(lambda _one: True) == ()
    assert lineage.unneeded({snapshot.key}) == (boundary.key,)


def test_a_head_that_was_read_is_known(root: Path) -> None:
    survey = Survey(root)
    one = file_of(survey, STATE[0])
    head = survey.head(one)
    Path(one.path).unlink()
    assert survey.head(one) is head
    survey.refresh()
    assert STATE[0].key not in {file.key for file, _ in survey.entries()}
    with pytest.raises(FileNotFoundError):
        survey.read(one, limit_bytes=LIMIT)


def test_a_snapshot_with_rows_of_its_own_needs_no_others(tmp_path: Path) -> None:
    snapshot = snapshot_of(7, label="whole")
    tier_at(tmp_path, bus=StrictBus()).put(snapshot)
    survey = Survey(tmp_path)
    head = survey.head(file_of(survey, snapshot))
    assert head is not None
    assert (head.parts(), head.root, head.raw_bytes, head.label) == ((), None, 64, "whole")
    lineage = survey.lineage()
    assert lineage.needs == {snapshot.key: ()}
    assert lineage.missing(snapshot.key) == ()
    assert survey.read(file_of(survey, snapshot), limit_bytes=LIMIT) == snapshot


def test_what_is_damaged_is_told_and_left_where_it_is(root: Path) -> None:
    spoilt = {
        STATE[0]: b"",
        STATE[1]: path_of(root, STATE[1]).read_bytes()[:-1],
        STATE[2]: path_of(root, STATE[1]).read_bytes(),  # another's content
    }
    meta = bytearray(path_of(root, STATE[3]).read_bytes())
    meta[-1] ^= 1
    spoilt[STATE[3]] = bytes(meta)
    for entry, content in spoilt.items():
        path_of(root, entry).write_bytes(content)
    survey = Survey(root)
    for entry, content in spoilt.items():
        one = file_of(survey, entry)
        assert survey.head(one) is None
        with pytest.raises(SnapshotCorrupt):
            survey.read(one, limit_bytes=LIMIT)
        assert path_of(root, entry).read_bytes() == content
    lineage = survey.lineage()
    assert lineage.missing(STATE[-1].key) == ()  # named, and so much is known without reading


@pytest.mark.parametrize(
    "facts", [{}, {"kind": "cow"}, {"kind": "block", "codec": "none", "raw_bytes": 1}, {"kind": "snapshot"}]
)
def test_facts_that_make_no_sense_are_damage(root: Path, facts: dict[str, str | int]) -> None:
    pieces: list[Buffer] = seal(STATE[0].key, {}, facts, mac_key=None)
    path_of(root, STATE[0]).write_bytes(b"".join(pieces))
    survey = Survey(root)
    assert survey.head(file_of(survey, STATE[0])) is None


def test_a_signed_root_needs_its_key(tmp_path: Path) -> None:
    tier_at(tmp_path, bus=StrictBus(), mac_key=MAC_KEY).put_all(STATE)
    for survey, is_ours in ((Survey(tmp_path), False), (Survey(tmp_path, mac_key=MAC_KEY), True)):
        assert (survey.head(file_of(survey, STATE[-1])) is not None) is is_ours
    survey = Survey(tmp_path)
    with pytest.raises(SnapshotMismatch):
        survey.read(file_of(survey, STATE[0]), limit_bytes=LIMIT)


def test_no_more_is_read_than_the_limit(root: Path) -> None:
    survey = Survey(root)
    with pytest.raises(SnapshotMismatch, match="at most 100 bytes"):
        survey.read(file_of(survey, STATE[0]), limit_bytes=100)


def test_a_root_that_cannot_be_listed_or_changed_is_told(root: Path) -> None:
    refusing = FaultyFiles(strike_at=3, strike=failing(errno.EACCES), only=frozenset({"stat"}))
    with pytest.raises(CacheError, match="Give a root that can be read"):
        Survey(root, files=refusing)
    survey = Survey(root)
    survey.directory.files = FaultyFiles(strike_at=1, strike=failing(errno.EROFS), only=frozenset({"unlink"}))
    with pytest.raises(CacheError, match="Give a root that can be written"):
        clear(survey.directory, survey.files)
    assert len(tuple(Survey(root).entries())) == len(STATE) - 1


def test_rows_that_follow_each_other_in_a_circle_end_nothing(root: Path) -> None:
    """Names and facts can be forged, for keys are only held against content when rows are read."""
    first, second = "ab" * 16, "cd" * 16
    for key, parent in ((first, second), (second, first)):
        path = root / key[:2] / f"{key}.{parent}.1.boundary"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    lineage = Survey(root).lineage()
    assert lineage.namespaces_of([first, second, STATE[0].key])[first] is None
    assert set(lineage.orphans(lambda _one: True)).isdisjoint({entry.key for entry in STATE})


def test_down_to_a_limit_what_was_set_aside_goes_first(root: Path) -> None:
    path_of(root, STATE[0]).write_bytes(b"")
    tier = tier_at(root, bus=StrictBus())
    assert tier.check().n_corrupt == 1
    os.utime(path_of(root, STATE[2]), ns=(5, 5))
    survey = Survey(root)
    kept = sum(one.n_bytes for one in survey.files)
    files = plan_down_to(survey.files, used_bytes=kept + 1, limit_bytes=kept)
    assert [one.kind for one in files] == ["quarantined", "entry"]
    assert files[1].key == STATE[2].key
    assert plan_down_to(survey.files, used_bytes=kept, limit_bytes=kept) == ()
    assert set(plan_down_to(survey.files, used_bytes=kept, limit_bytes=-1)) == set(survey.files)
