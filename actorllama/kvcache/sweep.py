"""Unfinished files that nobody will finish."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from actorllama.kvcache.directory import Directory, KnownFile
from actorllama.kvcache.owner import Owner

__all__ = ["plan_sweep", "sweep"]


def plan_sweep(
    known: Iterable[KnownFile],
    *,
    is_running: Callable[[Owner], bool | None],
    now_s: float,
    temporary_age_s: float,
) -> tuple[KnownFile, ...]:
    """Choose the temporaries whose owner is dead, or that are old.

    Old counts both ways: a file from the future tells of a clock that was set back.

    Args:
        known: Files of the root; only temporaries are looked at.
        is_running: Tells whether an owner lives; ``None`` if unknown (another machine, another container).
        now_s: Wall clock.
        temporary_age_s: No save takes this long. A live owner whose file goes loses that save only.
    """
    alive: dict[Owner, bool | None] = {}
    chosen: list[KnownFile] = []
    for one in known:
        if one.owner is None:
            continue
        if one.owner not in alive:
            alive[one.owner] = is_running(one.owner)
        is_old = abs(now_s - one.used_ns / 1e9) > temporary_age_s
        if is_old or alive[one.owner] is False:
            chosen.append(one)
    return tuple(chosen)


def sweep(directory: Directory, *, temporary_age_s: float) -> tuple[KnownFile, ...]:
    """Remove them, and tell which went. What cannot be removed stays for the next time."""
    files = directory.files
    plan = plan_sweep(
        directory.known(),
        is_running=files.is_running,
        now_s=files.now_ns() / 1e9,
        temporary_age_s=temporary_age_s,
    )
    gone: list[KnownFile] = []
    for one in plan:
        with contextlib.suppress(OSError):
            files.unlink(one.path)
            gone.append(one)
    return tuple(gone)
