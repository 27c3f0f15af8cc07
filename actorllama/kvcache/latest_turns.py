"""The turns that were used last, found without reading rows: what a new process will be asked for first."""

from __future__ import annotations

import math
from itertools import islice
from typing import Final

from attrs import field, frozen

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache.directory import Directory
from actorllama.kvcache.file_head import read_head

__all__ = ["LatestTurn", "LatestTurns", "latest_turns"]

_N_HEADS_MAX: Final = 64
"""Heads that are read at most: of many small turns, most are not asked for soon."""


@frozen(kw_only=True)
class LatestTurn:
    """A saved turn, and where its rows are, by the lengths of files when the directory was last read."""

    key: str
    parts: tuple[str, ...] = field(repr=lambda keys: f"<{len(keys)} keys>")
    """Keys of the entries that have its rows, root first; none if they are in its own file."""
    n_bytes: int
    """Bytes of its file and of those of its parts, without what a later turn has in common with it."""


@frozen(kw_only=True)
class LatestTurns:
    """The turns that were used last."""

    state_bytes: int = 0
    """What it takes to put the state of the latest together, the largest part on its way included, whether
    or not it is within the limit; with a codec it is less than the truth. 0 if there is none."""
    turns: tuple[LatestTurn, ...] = ()
    """Those within the limit, the latest first."""


def latest_turns(directory: Directory, *, limit_bytes: int | None = None) -> LatestTurns:
    """Find the turns that were used last; nothing is changed.

    A turn that cannot be read, or that does not fit into what is left of the limit, is left out.

    Args:
        directory: As it was last read.
        limit_bytes: Most bytes of all their files; no bound if ``None``.

    Cost: a few microseconds for each file that is known, and three small reads for each turn, of which 64
    are looked at.
    """
    known = [one for one in directory.known() if one.kind == "entry" and one.facts is not None]
    turns = [one for one in known if one.facts is not None and one.facts.kind == "snapshot"]
    turns.sort(key=lambda one: one.used_ns, reverse=True)
    sizes = {one.key: one.n_bytes for one in known}
    counted: set[str] = set()
    n_left = math.inf if limit_bytes is None else limit_bytes
    state_bytes = 0
    found: list[LatestTurn] = []
    for turn in islice(turns, _N_HEADS_MAX):
        try:
            head = read_head(directory, turn.path, turn.key)
        except (OSError, SnapshotCorrupt, SnapshotMismatch):
            continue
        parts = head.parts()
        if not state_bytes:
            part_bytes = [sizes.get(key, 0) for key in parts] or [head.raw_bytes]
            state_bytes = sum(part_bytes) + max(part_bytes)
        n_bytes = turn.n_bytes + sum(sizes.get(key, 0) for key in parts if key not in counted)
        if n_bytes <= n_left:
            n_left -= n_bytes
            counted.update(parts)
            found.append(LatestTurn(key=turn.key, parts=parts, n_bytes=n_bytes))
        if n_left <= 0:
            break
    return LatestTurns(state_bytes=state_bytes, turns=tuple(found))
