"""Turns on their way out of an archive."""

from __future__ import annotations

from collections.abc import Collection

from actorllama.cli.cache_root import count_of
from actorllama.kvcache import DiskTier, Snapshot, StoredEntry, Unusable

__all__ = ["ImportedTurns"]

_TOGETHER_BYTES = 64 << 20  # rows that wait for their turn, to be published with it


class ImportedTurns:
    """Publishes entries in the order in which they come, a turn's together, and counts.

    Owner: the running command.
    """

    def __init__(self, tier: DiskTier) -> None:
        """Begin with nothing taken in."""
        self.turns: list[Snapshot] = []
        self.problems: list[str] = []
        self.n_evicted = 0
        self._tier = tier
        self._waiting: dict[str, StoredEntry] = {}
        self._waiting_bytes = 0
        self._hows: dict[str, str] = {}

    def take(self, found: StoredEntry | Unusable) -> None:
        """Take what an archive gives.

        Raises:
            CacheError: As `publish`.
        """
        if isinstance(found, Unusable):
            self.problems.append(f"{found.name}: {found.reason}")
            return
        if found.key not in self._waiting:
            self._waiting[found.key] = found
            self._waiting_bytes += found.n_bytes
        if isinstance(found, Snapshot) or self._waiting_bytes > _TOGETHER_BYTES:
            self.publish()

    def publish(self) -> None:
        """Publish what waits.

        Raises:
            TierFull: The limit, or the disk, leaves no room for it.
            CacheError: The system refused.
        """
        waiting, self._waiting, self._waiting_bytes = tuple(self._waiting.values()), {}, 0
        if not waiting:
            return
        report = self._tier.put_all(waiting)
        for key, how in report.hows.items():
            self._hows.setdefault(key, how)
        self.n_evicted += len(report.evicted)
        self.turns.extend(one for one in waiting if isinstance(one, Snapshot))

    def line(self) -> str:
        """Say what came of it."""
        hows = list(self._hows.values())
        n_had = hows.count("adopted")
        had = f", {n_had} of them here already" if n_had else ""
        return f"{count_of(len(self.turns), 'turn')}, {count_of(len(hows), 'entry')} in all{had}"

    def to_json(self, stored: Collection[str]) -> dict[str, object]:
        """Give the same as plain values.

        Args:
            stored: Keys of all entries that are here now.
        """
        hows = list(self._hows.values())
        return {
            "turns": [
                {
                    "key": turn.key,
                    "namespace": turn.namespace,
                    "n_tokens": len(turn.tokens),
                    "label": turn.label,
                    "n_rows": len(turn.parts),
                    "n_missing_rows": sum(part not in stored for part in turn.parts),
                }
                for turn in self.turns
            ],
            "n_published": hows.count("published"),
            "n_adopted": hows.count("adopted"),
            "n_replaced": hows.count("replaced"),
            "n_evicted": self.n_evicted,
            "problems": self.problems,
        }
