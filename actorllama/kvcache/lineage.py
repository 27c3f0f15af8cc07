"""Which stored rows follow which, which turns need them, and which nobody can ever use again. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from attrs import field, frozen

from actorllama.kvcache.directory import KnownFile

__all__ = ["Lineage"]

NeedsOthers = Callable[[KnownFile], bool | None]


@frozen(kw_only=True)
class Lineage:
    """What is needed by what, among the entries of a root."""

    rows: Mapping[str, KnownFile] = field(repr=False)
    """File of each stored block and boundary, by key."""
    parents: Mapping[str, str] = field(repr=False)
    """What a row follows: another row, or a root, which no entry has. Not of rows that cannot be read."""
    needs: Mapping[str, tuple[str, ...]] = field(repr=False)
    """Rows of each turn, root first; none if they are in its own file."""
    namespaces: Mapping[str, str] = field(repr=False)
    """Namespace of each root that some turn tells of; and of what the boundary of such a turn follows that
    has no blocks (recurrent), for it is usable by itself."""

    def missing(self, turn: str) -> tuple[str, ...]:
        """List the rows of a turn that are not stored: they are computed when it is resumed."""
        return tuple(key for key in self.needs.get(turn, ()) if key not in self.rows)

    def namespaces_of(self, keys: Iterable[str]) -> dict[str, str | None]:
        """Find the namespace of rows; ``None`` where no turn tells of it.

        Cost: O(rows) in all, however long the chains are.
        """
        known: dict[str, str | None] = dict(self.namespaces)
        found: dict[str, str | None] = {}
        for key in keys:
            walked: list[str] = []
            at: str | None = key
            while at is not None and at not in known:
                walked.append(at)
                known[at] = None  # a forger's rows may follow each other in a circle
                at = self.parents.get(at)
            namespace = None if at is None else known[at]
            known.update(dict.fromkeys(walked, namespace))
            found[key] = namespace
        return found

    def children(self) -> Mapping[str, tuple[str, ...]]:
        """List what is stored behind each key.

        Cost: O(rows).
        """
        behind: defaultdict[str, list[str]] = defaultdict(list)
        for key in self.rows:
            if key in self.parents:
                behind[self.parents[key]].append(key)
        return {key: tuple(keys) for key, keys in behind.items()}

    def orphans(self, needs_others: NeedsOthers, *, without: Collection[str] = ()) -> tuple[str, ...]:
        """List the rows that can never be used again: one that they follow is gone.

        Args:
            needs_others: Tells of a row that follows nothing known whether it stands behind other rows;
                ``None`` if that cannot be told. Rows know their position, but this room does not read it.
            without: Keys of rows to regard as gone.

        Returns:
            Keys, each after those that it follows. What cannot be told is not among them.

        Cost: O(rows), and a call for each row whose parent is neither stored nor a known root.
        """
        gone = set(without)
        children = self.children()
        found: dict[str, None] = {}
        for parent, followers in children.items():
            if parent in self.namespaces or (parent in self.rows and parent not in gone):
                continue
            waiting = [
                key
                for key in followers
                if key not in gone
                # What follows something itself is a block, not a root, though it is not stored.
                and (parent in gone or parent in self.parents or needs_others(self.rows[key]) is True)
            ]
            while waiting:
                key = waiting.pop()
                if key not in found:
                    found[key] = None
                    waiting.extend(one for one in children.get(key, ()) if one not in gone)
        return tuple(found)

    def unneeded(self, turns: Collection[str]) -> tuple[str, ...]:
        """List the rows that would be of no use to anybody if these turns were gone.

        Rows that another turn needs stay, and so do those that other stored rows follow.

        Cost: O(rows).
        """
        ours = {key: None for turn in turns for key in self.needs.get(turn, ()) if key in self.rows}
        others = {key for turn, keys in self.needs.items() if turn not in turns for key in keys}
        children = self.children()
        unneeded: dict[str, None] = {}
        # Each turn's rows from its end to the root; of a branch that is shared, both ends come first.
        by_depth = sorted(ours, key=self._depths(ours).__getitem__, reverse=True)
        for key in by_depth:
            if key not in others and all(child in unneeded for child in children.get(key, ())):
                unneeded[key] = None
        return tuple(unneeded)

    def _depths(self, keys: Collection[str]) -> dict[str, int]:
        """Count, for each of these rows, how many of them it follows."""
        return {key: depth for parts in self.needs.values() for depth, key in enumerate(parts) if key in keys}
