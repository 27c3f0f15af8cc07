"""Room for files that are to come: reserved within the limit, before their first byte is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from attrs import frozen

from actorllama.errors import TierFull
from actorllama.kvcache.directory import Directory, KnownFile, Temporary
from actorllama.kvcache.eviction import Candidate, plan_eviction
from actorllama.kvcache.layout import temporary_name
from actorllama.kvcache.sweep import sweep

__all__ = ["Limits", "plan_files", "reserve"]

_N_ROUNDS = 3  # a plan is made again if a victim was used meanwhile, but not for ever


@frozen(kw_only=True)
class Limits:
    """What bounds a root; all processes that share one should agree."""

    limit_bytes: int
    temporary_age_s: float


def reserve(
    directory: Directory,
    wanted: Sequence[tuple[str, int]],
    *,
    limits: Limits,
    on_gone: Callable[[KnownFile], None],
) -> list[Temporary]:
    """Make room for files, evicting if need be, and create them under temporary names.

    The lock is held meanwhile, so that two processes do not both take the last room; and the index is
    read once for all of them.

    Args:
        directory: The root.
        wanted: Key and length of each file.
        limits: The bounds.
        on_gone: Told of each file that was evicted or swept.

    Raises:
        TierFull: Unfinished files of others leave no room for them, or they are larger than the limit.
        OSError: The system refused. None of them is left.
    """
    n_bytes = sum(length for _, length in wanted)
    if n_bytes > limits.limit_bytes:
        raise TierFull(tier="disk", needed_bytes=n_bytes, limit_bytes=limits.limit_bytes)
    with directory.locked():
        directory.refresh()
        if directory.used_bytes + n_bytes > limits.limit_bytes:
            gone = sweep(directory, temporary_age_s=limits.temporary_age_s)
            for one in gone:
                directory.forget(one.path)
                on_gone(one)
            if gone:
                directory.refresh()
        for one in _plan_fresh(directory, n_bytes, limits.limit_bytes):
            with contextlib.suppress(FileNotFoundError):  # the whole root may be going
                directory.files.unlink(one.path)
                on_gone(one)
        return _create(directory, wanted)


def _create(directory: Directory, wanted: Sequence[tuple[str, int]]) -> list[Temporary]:
    owner = directory.files.owner()
    made: list[Temporary] = []
    try:
        for key, length in wanted:
            made.append(directory.create(temporary_name(key, owner), length))
    except OSError:
        for one in made:
            with contextlib.suppress(OSError):
                directory.files.unlink(one.path)
        raise
    return made


def _plan_fresh(directory: Directory, n_bytes: int, limit_bytes: int) -> list[KnownFile]:
    """Plan on what is known, look at the victims again, and plan anew where one has been used since."""
    victims: list[KnownFile] = []
    for _ in range(_N_ROUNDS):
        victims = _plan(directory, n_bytes, limit_bytes)
        stale = [one for one in victims if not _is_unchanged(directory, one)]
        if not stale:
            break
        for one in stale:
            directory.forget(one.path)
        directory.refresh()
    return victims


def _plan(directory: Directory, n_bytes: int, limit_bytes: int) -> list[KnownFile]:
    needed_bytes = directory.used_bytes + n_bytes - limit_bytes
    if needed_bytes <= 0:
        return []
    plan = plan_files(directory.known(), needed_bytes=needed_bytes)
    if plan is None:
        raise TierFull(tier="disk", needed_bytes=n_bytes, limit_bytes=limit_bytes)
    return list(plan)


def plan_files(files: Iterable[KnownFile], *, needed_bytes: int) -> tuple[KnownFile, ...] | None:
    """Choose files that go so that bytes come free; unfinished files never do.

    Nor does one that has its name but not yet lost its temporary one: to take the first frees nothing, and if
    its owner is killed then, the root stays too full until somebody sweeps.

    Returns:
        What is quarantined first, for it serves nobody, then what was used longest ago; ``None`` if all of it
        is not enough.
    """
    found = list(files)
    unfinished = {one.inode for one in found if one.owner is not None}
    by_path = {one.path: one for one in found if one.owner is None and one.inode not in unfinished}
    candidates = (
        Candidate(key=path, n_bytes=one.n_bytes, rank=(one.kind != "quarantined", one.used_ns))
        for path, one in by_path.items()
    )
    plan = plan_eviction(candidates, needed_bytes=needed_bytes)
    return None if plan is None else tuple(by_path[victim.key] for victim in plan)


def _is_unchanged(directory: Directory, one: KnownFile) -> bool:
    try:
        facts = directory.files.stat(one.path)
    except FileNotFoundError:
        return False
    return (facts.st_ino, facts.st_mtime_ns) == (one.inode, one.used_ns)
