"""Processes that are killed while they publish: run as a program of its own, which may fork.

``python -m tests.kvcache.killing SCENARIO ROOT`` kills one child at each call that a put makes, while a
second process puts and reads on the same root without end, and prints what it found as JSON. Each child
is a fork of this process, which has one thread.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from actorllama.errors import CacheError
from actorllama.kvcache import DiskTier, Snapshot, StoredEntry
from actorllama.kvcache.layout import entry_name
from tests.kvcache.samples import FaultyFiles, QuickFiles, encoded, kill_me, snapshot_of, state_of

STEPS = frozenset(FaultyFiles.__dict__) - {"stat", "scan", "fstat"} | {
    "half written"
}  # looking changes nothing
N_BYTES = snapshot_of().n_bytes
N_KILLS_MAX = 400
TURNS = ("turn", "turn, full", "turn, present")


def tier_at(root: Path, n_entries: int, files: QuickFiles | FaultyFiles | None = None) -> DiskTier:
    return DiskTier(root, limit_bytes=n_entries * N_BYTES, files=files or QuickFiles())


def spawn(work: Callable[[], bool]) -> int:
    """Fork a child that exits with 0 if its work says that all was well."""
    pid = os.fork()
    if pid:
        return pid
    status = 2
    try:
        status = 0 if work() else 1
    finally:
        os._exit(status)


def entries_of(scenario: str, number: int) -> tuple[StoredEntry, ...]:
    """Make what is put together: a turn, or one snapshot."""
    return state_of(number) if scenario in TURNS else (snapshot_of(number),)


def disturb(scenario: str, root: Path, n_entries: int, announced: int) -> bool:
    """Put and read the victims' keys and own ones until killed; ``False`` at the first wrong answer."""
    tier = tier_at(root, n_entries)
    number = 0
    while True:
        number += 1
        for entries in (entries_of(scenario, one) for one in (1, 2, 100 + number % 5)):
            try:
                tier.put_all(entries)
            except CacheError:
                return False
            if any(tier.get(one.key) not in (None, one) for one in entries):
                return False
        if number == 1:
            os.write(announced, b"!")


def held_bytes(root: Path) -> int:
    """Count what files hold, each once: who publishes gives one a second name before it takes the first."""
    sizes: dict[int, int] = {}
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                sizes[found.st_ino] = found.st_size
    return sum(sizes.values())


class Trial:
    """Kills on one root, and what came of them."""

    def __init__(self, scenario: str, root: Path) -> None:
        self.scenario = scenario
        self.root = root
        self.n_entries = {"full": 8, "turn, full": 24}.get(scenario, 4000)
        self.found = {
            "n_kills": 0,
            "n_wrong": 0,
            "n_lost": 0,
            "n_leaked": 0,
            "n_overfull": 0,
            "n_rootless": 0,
            "n_survived": 0,
        }

    def prepare(self, victim: tuple[StoredEntry, ...], number: int) -> None:
        """Bring the root into the state that the scenario is about."""
        match self.scenario:
            case "damaged":
                path = self.root / entry_name(victim[0])
                path.parent.mkdir(parents=True, exist_ok=True)
                fresh = path.with_suffix(".made")
                fresh.write_bytes(encoded(victim[0])[:-1])
                fresh.replace(path)
            case "full":
                for other in range(self.n_entries):
                    tier_at(self.root, self.n_entries).put(snapshot_of(1000 + 10 * number + other))
            case "fresh":
                tier_at(self.root, self.n_entries).remove(victim[0].key)
            case _:
                pass  # each turn is new, or the second process has put it; that fills the root, too

    def kill_at(self, strike_at: int) -> bool:
        """Kill a child at its n-th step; ``False`` once a put has no such step."""
        number = 10_000 + strike_at if self.scenario.startswith("turn") else 1 + strike_at % 2
        victim = entries_of(self.scenario, 1 if self.scenario == "turn, present" else number)
        self.prepare(victim, strike_at)
        reader, writer = os.pipe()

        def work() -> bool:
            files = FaultyFiles(strike_at=strike_at, strike=kill_me, only=STEPS)
            tier_at(self.root, self.n_entries, files).put_all(victim)
            os.write(writer, b"announced")
            files.strike_at = -1
            return True

        status = os.waitpid(spawn(work), 0)[1]
        os.close(writer)
        is_announced = os.read(reader, 16) == b"announced"
        os.close(reader)
        self.found["n_kills" if os.WIFSIGNALED(status) else "n_survived"] += 1
        self.found["n_wrong"] += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
        self.judge(victim, is_announced=is_announced)
        return os.WIFSIGNALED(status)

    def judge(self, victim: tuple[StoredEntry, ...], *, is_announced: bool) -> None:
        """Hold what is under the root now against what was promised."""
        tier = tier_at(self.root, self.n_entries)
        is_full = self.n_entries < 4000
        for entry in reversed(victim):  # the snapshot before its rows: what comes meanwhile cannot excuse it
            read = tier.get(entry.key)
            self.found["n_wrong"] += read not in (None, entry)
            self.found["n_lost"] += is_announced and read is None and not is_full
            if isinstance(read, Snapshot) and not is_full:
                self.found["n_rootless"] += len(tier.get_chain(read.parts)) != len(read.parts)
        with tier._directory.locked():  # nobody makes room or files meanwhile
            self.found["n_overfull"] += held_bytes(self.root) > tier.limit_bytes

    def run(self) -> None:
        """Kill at every step beside a second process, then look at what is left."""
        reader, writer = os.pipe()
        rival = spawn(lambda: disturb(self.scenario, self.root, self.n_entries, writer))
        os.read(reader, 1)
        strike_at = 0
        while self.kill_at(strike_at) and strike_at < N_KILLS_MAX:
            strike_at += 1
        is_well = os.waitpid(rival, os.WNOHANG)[0] == 0
        self.found["n_wrong"] += not is_well
        if is_well:
            os.kill(rival, signal.SIGKILL)
            os.waitpid(rival, 0)
        self.look_back()

    def look_back(self) -> None:
        """With everybody dead: one sweep, and nothing is left but sound entries."""
        tier = tier_at(self.root, self.n_entries)
        tier.sweep()
        self.found["n_leaked"] += tier.statistics().n_temporary + len(list(self.root.rglob("*.tmp")))
        self.found["n_wrong"] += tier.check().n_corrupt if self.scenario != "damaged" else 0
        for entry in (*entries_of(self.scenario, 1), *entries_of(self.scenario, 2)):
            tier.put(entry)
            self.found["n_wrong"] += tier.get(entry.key) != entry


if __name__ == "__main__":
    trial = Trial(sys.argv[1], Path(sys.argv[2]))
    trial.run()
    sys.stdout.write(json.dumps(trial.found))
