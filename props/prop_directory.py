"""Laws of the disk tier: several tiers on one root are one dict that forgets what was used longest ago."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType] (hypothesis gives no types)
)

from actorllama.errors import TierFull
from actorllama.kvcache import (
    Block,
    Boundary,
    DiskTier,
    Owner,
    PosixFileSystem,
    Snapshot,
    StoredEntry,
)
from actorllama.kvcache.layout import entry_name, temporary_name

LIMIT_BYTES = 3000
DEAD = Owner(boot="01234567", pid_space=1, pid=1, started=1)


class OrderedFiles(PosixFileSystem):
    """Never waits for the disk, knows only dead processes, and orders uses by counting them."""

    def __init__(self) -> None:
        self.n_uses = 0

    def fsync(self, fd: int) -> None:
        """Do nothing."""

    def is_running(self, owner: Owner) -> bool | None:
        return owner != DEAD

    def touch(self, fd: int, used_ns: int) -> None:
        os.utime(fd, ns=self.next_use())

    def next_use(self) -> tuple[int, int]:
        self.n_uses += 1
        return self.n_uses, self.n_uses

    def now_ns(self) -> int:
        return 0


def make(number: int, n_bytes: int = 0) -> StoredEntry:
    """Make an entry of each kind in turn."""
    rows = bytes(n_bytes)
    match number % 3:
        case 0:
            return Snapshot(namespace="ab", tokens=(number,), n_prompt=1, sampler=b"", kv=rows, created_s=0.0)
        case 1:
            return Block(parent="0" * 32, tokens=(number,), payload=rows)
        case _:
            return Boundary(parent="1" * 32, tail=(number,) * number, payload=rows)


@define
class Expected:
    """What the model knows of one file."""

    entry: StoredEntry | None
    """``None`` if it was damaged."""
    n_bytes: int
    used: int


KEYS = st.integers(0, 7)
BY_KEY = {make(number).key: make(number) for number in range(8)}
TIERS = st.integers(0, 1)


class TiersAgreeWithADict(RuleBasedStateMachine):
    """Whatever two tiers do on one root, and whatever happens to their files."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="actorllama-prop-"))
        self.files = OrderedFiles()
        self.tiers = [self.open(), self.open()]
        self.model: dict[str, Expected] = {}
        self.aside: list[Expected] = []

    def open(self) -> DiskTier:
        return DiskTier(self.root, limit_bytes=LIMIT_BYTES, files=self.files)

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @property
    def used_bytes(self) -> int:
        return sum(one.n_bytes for one in (*self.model.values(), *self.aside))

    def set_aside(self, key: str) -> None:
        self.aside.append(self.model.pop(key))

    def make_room(self, n_bytes: int) -> None:
        while self.used_bytes + n_bytes > LIMIT_BYTES:
            if self.aside:
                self.aside.remove(min(self.aside, key=lambda one: one.used))
            else:
                del self.model[min(self.model, key=lambda key: self.model[key].used)]

    @rule(tier=TIERS, number=KEYS, n_bytes=st.integers(0, LIMIT_BYTES))
    def put(self, tier: int, number: int, n_bytes: int) -> None:
        entry = make(number, n_bytes)
        old = self.model.get(entry.key)
        if old is not None and old.entry is not None:
            assert self.tiers[tier].put(entry) == "adopted"
            old.used = self.files.n_uses
            return
        if old is not None:
            self.set_aside(entry.key)
        if entry.n_bytes > LIMIT_BYTES:
            with pytest.raises(TierFull):
                self.tiers[tier].put(entry)
            return
        assert self.tiers[tier].put(entry) == "published"
        self.make_room(entry.n_bytes)
        self.model[entry.key] = Expected(entry, entry.n_bytes, self.files.n_uses)

    @rule(tier=TIERS, number=KEYS)
    def get(self, tier: int, number: int) -> None:
        key = make(number).key
        expected = self.model.get(key)
        assert self.tiers[tier].get(key) == (expected.entry if expected else None)
        if expected is None:
            return
        if expected.entry is None:
            self.set_aside(key)
        else:
            expected.used = self.files.n_uses

    @rule(tier=TIERS, number=KEYS)
    def remove(self, tier: int, number: int) -> None:
        key = make(number).key
        assert self.tiers[tier].remove(key) == (self.model.pop(key, None) is not None)

    @precondition(lambda self: any(one.entry for one in self.model.values()))
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key, one in self.model.items() if one.entry]))
        path = self.root / entry_name(BY_KEY[key])
        whole = path.read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        kinds: dict[str, Callable[[], bytes]] = {
            "flip": lambda: whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :],
            "cut": lambda: whole[:at],
        }
        damaged = kinds[data.draw(st.sampled_from(sorted(kinds)))]()
        path.write_bytes(damaged)
        os.utime(path, ns=self.files.next_use())
        self.model[key] = Expected(None, len(damaged), self.files.n_uses)

    @rule()
    def check(self) -> None:
        n_damaged = sum(one.entry is None for one in self.model.values())
        report = self.tiers[0].check()
        assert (report.n_checked, report.n_corrupt) == (len(self.model), n_damaged)
        for key in [key for key, one in self.model.items() if one.entry is None]:
            self.set_aside(key)

    @rule(tier=TIERS)
    def restart(self, tier: int) -> None:
        self.tiers[tier] = self.open()

    @rule()
    def die_while_writing(self) -> None:
        path = self.root / temporary_name(make(0).key, DEAD)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(500))
        assert self.tiers[0].sweep() == 1

    @rule()
    def delete_root(self) -> None:
        shutil.rmtree(self.root)
        self.root.mkdir()
        self.model.clear()
        self.aside.clear()

    @invariant()
    def agree(self) -> None:
        for tier in self.tiers:
            sound = {key for key, one in self.model.items() if one.entry}
            assert sound <= set(tier.keys()) <= set(self.model)
            statistics = tier.statistics()
            assert statistics.used_bytes == self.used_bytes <= LIMIT_BYTES
            assert (statistics.n_quarantined, statistics.n_temporary) == (len(self.aside), 0)


@pytest.mark.slow
def prop_tiers_on_one_root_agree_with_a_dict() -> None:
    run_state_machine_as_test(TiersAgreeWithADict)
