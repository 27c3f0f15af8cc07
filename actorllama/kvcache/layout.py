"""Names under the root of the disk tier: pure functions.

::

    root/.lock                                   flocked by whoever takes names away
    root/ab/ab0123....kv                         a published snapshot, in one of 256 shards
    root/ab/ab0123....block                      a published block
    root/ab/ab0123....<parent>.<n_tail>.boundary   a published boundary
    root/ab/.ab0123....<owner>-<nonce>.tmp       one being written
    root/quarantine/ab0123....<nonce>.kv         one that was damaged

A name tells all that an index must know, so that a root of 100,000 files is listed and not read. Nothing
is believed for its name: whoever reads a file holds its content against it.
"""

from __future__ import annotations

import os
import re

from actorllama.kvcache.entry import Entry, EntryFacts
from actorllama.kvcache.owner import Owner

__all__ = [
    "LOCK",
    "QUARANTINE",
    "SHARDS",
    "entry_name",
    "facts_of_name",
    "owner_of_temporary",
    "plain_names",
    "quarantine_name",
    "temporary_name",
]

SHARDS = tuple(f"{number:02x}" for number in range(256))
QUARANTINE = "quarantine"
LOCK = ".lock"

_PLAIN = re.compile(r"([0-9a-f]{32})\.(kv|block)")
_BOUNDARY = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.(0|[1-9]\d{0,5})\.boundary")
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.(.+)-[0-9a-f]{16}\.tmp")


def entry_name(entry: Entry | EntryFacts) -> str:
    """Name the file of an entry, with its shard."""
    key = entry.key
    match entry.kind:
        case "block":
            return f"{key[:2]}/{key}.block"
        case "boundary":
            return f"{key[:2]}/{key}.{entry.parent}.{entry.n_tail}.boundary"
        case _:
            return f"{key[:2]}/{key}.kv"


def plain_names(key: str) -> tuple[str, str]:
    """Give the names that a key's file may have if it is of a block or a snapshot."""
    return f"{key[:2]}/{key}.block", f"{key[:2]}/{key}.kv"


def facts_of_name(name: str) -> EntryFacts | None:
    """Read what a file's name (without shard) says; ``None`` if it is no entry's."""
    found = _PLAIN.fullmatch(name)
    if found is not None:
        return EntryFacts("block" if found[2] == "block" else "snapshot", found[1], None, 0)
    found = _BOUNDARY.fullmatch(name)
    return EntryFacts("boundary", found[1], found[2], int(found[3])) if found else None


def temporary_name(key: str, owner: Owner) -> str:
    """Make up a name for an unfinished file, with its shard; no two are alike."""
    return f"{key[:2]}/.{key}.{owner.to_name()}-{os.urandom(8).hex()}.tmp"


def owner_of_temporary(name: str) -> Owner | None:
    """Read who writes an unfinished file; ``None`` if the name (without shard) is no such file's."""
    found = _TEMPORARY.fullmatch(name)
    return Owner.from_name(found[1]) if found else None


def quarantine_name(key: str) -> str:
    """Make up a name for a damaged file; no two are alike."""
    return f"{QUARANTINE}/{key}.{os.urandom(8).hex()}.kv"
