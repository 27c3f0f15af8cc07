"""Turns on their way into an archive."""

from __future__ import annotations

from actorllama.cli.cache_root import count_of
from actorllama.cli.failures import describe
from actorllama.cli.screen import size_of
from actorllama.errors import CacheError, SnapshotCorrupt
from actorllama.kvcache import ArchiveWriter, KnownFile, Snapshot, StoredEntry, Survey

__all__ = ["ExportedTurns"]


class ExportedTurns:
    """Writes turns with their rows, each entry once, and counts.

    What is damaged is left out and told; nothing under the root is changed.

    Owner: the running command.
    """

    def __init__(self, survey: Survey, *, limit_bytes: int) -> None:
        """Begin with nothing written.

        Args:
            survey: Where the entries are.
            limit_bytes: As `Survey.read`.
        """
        self.n_turns = 0
        self.n_rows = 0
        self.n_missing = 0
        """Rows that are not there: whoever resumes a turn computes them."""
        self.problems: list[str] = []
        self._survey = survey
        self._limit_bytes = limit_bytes
        self._rows = {one.key: one for one, facts in survey.entries() if facts.kind != "snapshot"}
        self._keys: list[str] = []
        self._namespaces: dict[str, None] = {}
        self._seen: set[str] = set()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Whose turns they are."""
        return tuple(self._namespaces)

    def add(self, writer: ArchiveWriter, one: KnownFile, *, codec: str) -> None:
        """Write a turn, after those of its rows that are not written yet.

        Raises:
            OSError: The archive takes no more.

        Cost: a read and a digest of all its bytes, and the codec's.
        """
        turn = self._read(one)
        if not isinstance(turn, Snapshot):
            return
        for key in turn.parts:
            if key in self._seen:
                continue
            self._seen.add(key)
            row = self._read(self._rows[key]) if key in self._rows else None
            if row is None:
                self.n_missing += 1
            else:
                writer.add(row, codec=codec)
                self.n_rows += 1
        writer.add(turn, codec=codec)
        self.n_turns += 1
        self._keys.append(turn.key)
        self._namespaces[turn.namespace] = None

    def line(self, n_bytes: int) -> str:
        """Say what was written."""
        return f"{count_of(self.n_turns, 'turn')} with {count_of(self.n_rows, 'row')}, {size_of(n_bytes)}"

    def to_json(self, output: str, n_bytes: int) -> dict[str, object]:
        """Give the same as plain values."""
        return {
            "file": output,
            "n_bytes": n_bytes,
            "keys": self._keys,
            "n_rows": self.n_rows,
            "n_rows_missing": self.n_missing,
            "namespaces": list(self._namespaces),
            "problems": self.problems,
        }

    def _read(self, one: KnownFile) -> StoredEntry | None:
        try:
            return self._survey.read(one, limit_bytes=self._limit_bytes)
        except SnapshotCorrupt as exc:
            advice = "`actorllama cache check` sets it aside"
            self.problems.append(f"{one.key}: it is damaged in its {exc.section}; {advice}")
        except (CacheError, OSError, MemoryError) as exc:
            self.problems.append(f"{one.key}: {describe(exc)}")
        return None
