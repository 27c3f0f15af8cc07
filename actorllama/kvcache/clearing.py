"""Taking chosen files away from a root that others use meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from actorllama.errors import CacheError
from actorllama.kvcache.directory import Directory, KnownFile
from actorllama.kvcache.reserve import plan_files

__all__ = ["Cleared", "clear", "plan_down_to"]

_N_PER_LOCK = 256  # writers wait for milliseconds, not for the whole clearing


@frozen(kw_only=True)
class Cleared:
    """What went, and what was left because somebody used or replaced it after it was chosen."""

    gone: tuple[KnownFile, ...]
    spared: tuple[KnownFile, ...]

    @property
    def freed_bytes(self) -> int:
        """Bytes of what went."""
        return sum(one.n_bytes for one in self.gone)


def plan_down_to(files: Iterable[KnownFile], *, used_bytes: int, limit_bytes: int) -> tuple[KnownFile, ...]:
    """Choose what goes so that no more than ``limit_bytes`` are used: as the tier itself would choose.

    Args:
        files: What may go; unfinished files are never chosen.
        used_bytes: Bytes in use now.
        limit_bytes: Bytes that may stay.

    Returns:
        What is quarantined first, then what was used longest ago: all of it where that is not enough.
    """
    may_go = tuple(one for one in files if one.owner is None)
    plan = plan_files(may_go, needed_bytes=used_bytes - limit_bytes)
    return may_go if plan is None else plan


def clear(
    directory: Directory,
    chosen: Sequence[KnownFile],
    *,
    is_forced: bool = False,
    on_gone: Callable[[KnownFile], None] = lambda _one: None,
) -> Cleared:
    """Remove files under the root's lock, each only if it still is what was chosen.

    Args:
        directory: The root.
        chosen: In this order; what needs others before those others, so that a death half way leaves nothing
            without what it needs.
        is_forced: Also what was used since it was chosen, though never what was replaced.
        on_gone: Told of each file as it goes.

    Raises:
        CacheError: The system does not let us; what went until then is gone.

    Cost: two system calls per file.
    """
    gone: list[KnownFile] = []
    spared: list[KnownFile] = []
    try:
        for some in _batches(chosen):
            with directory.locked():
                for one in some:
                    verdict = _take(directory, one, is_forced=is_forced)
                    if verdict is True:
                        gone.append(one)
                        on_gone(one)
                    elif verdict is False:
                        spared.append(one)
    except OSError as exc:
        raise CacheError(f"{directory.root}: {exc}. Give a root that can be written.") from exc
    return Cleared(gone=tuple(gone), spared=tuple(spared))


def _batches(chosen: Sequence[KnownFile]) -> Iterator[Sequence[KnownFile]]:
    rest = iter(chosen)
    while some := tuple(itertools.islice(rest, _N_PER_LOCK)):
        yield some


def _take(directory: Directory, one: KnownFile, *, is_forced: bool) -> bool | None:
    """Remove one file; ``None`` if it is gone already."""
    try:
        facts = directory.files.stat(one.path)
        is_same = facts.st_ino == one.inode and (is_forced or facts.st_mtime_ns == one.used_ns)
        if is_same:
            directory.files.unlink(one.path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return is_same
