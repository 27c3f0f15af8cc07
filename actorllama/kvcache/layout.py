"""Names under the root of the disk tier: pure functions.

::

    root/.lock                                   flocked by whoever takes names away
    root/ab/ab0123....kv                         a published snapshot, in one of 256 shards
    root/ab/.ab0123....<owner>-<nonce>.tmp       one being written
    root/quarantine/ab0123....<nonce>.kv         one that was damaged
"""

from __future__ import annotations

import os
import re

from actorllama.kvcache.owner import Owner

__all__ = [
    "LOCK",
    "QUARANTINE",
    "SHARDS",
    "entry_name",
    "is_key",
    "key_of_entry",
    "owner_of_temporary",
    "quarantine_name",
    "temporary_name",
]

SHARDS = tuple(f"{number:02x}" for number in range(256))
QUARANTINE = "quarantine"
LOCK = ".lock"

_KEY = re.compile(r"[0-9a-f]{32}")
_ENTRY = re.compile(r"([0-9a-f]{32})\.kv")
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.(.+)-[0-9a-f]{16}\.tmp")


def is_key(text: str) -> bool:
    """Tell whether a text can be a key; anything else never becomes a path."""
    return _KEY.fullmatch(text) is not None


def entry_name(key: str) -> str:
    """Name the file of a key, with its shard."""
    return f"{key[:2]}/{key}.kv"


def key_of_entry(name: str) -> str | None:
    """Read the key from a file's name (without shard); ``None`` if it is no entry."""
    found = _ENTRY.fullmatch(name)
    return found[1] if found else None


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
