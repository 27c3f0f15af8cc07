"""Which cgroups this process is in, and what they let it use: version 2, and version 1 where that rules.

A container's limit is often far below the machine's memory, and it may be set on any cgroup from ours up to
the root; the kernel enforces each of them, so each is a reading of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from attrs import frozen

from actorllama.native.memory import HOST, MemoryReading, SourceReport
from actorllama.native.memory_text import read_number, read_stall_share, read_table, read_text

__all__ = ["CgroupSource"]

_UNLIMITED: Final = 1 << 60  # version 1 writes "no limit" as the largest multiple of a page
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")  # mountinfo writes blanks in paths as \040


@frozen(kw_only=True)
class _Place:
    """A cgroup hierarchy that counts memory: where it is mounted, and which cgroup is ours."""

    version: Literal[1, 2]
    root: Path
    levels: tuple[Path, ...]


class CgroupSource:
    """Reads the limits of the cgroups above this process. Linux only; elsewhere it has nothing to say.

    Owner: whoever made it. It keeps where the cgroups are, and looks again when the process was moved.
    """

    name = "cgroup"

    def __init__(self, *, proc: Path = Path("/proc")) -> None:
        """Look at nothing yet. ``proc`` is where ``self/cgroup`` and ``self/mountinfo`` are."""
        self._proc = proc
        self._membership: str | None = None
        self._place: _Place | None = None

    def read(self) -> SourceReport:
        """Read every cgroup with a limit, our own first.

        Used memory is what the cgroup is charged with, less what the kernel can take back by itself: file
        pages that are neither mapped, nor dirty, nor being written, and reclaimable kernel memory. Mapped
        pages count as used, because a model's weights are among them.

        Cost: about 0.1 ms for each level.
        """
        membership = read_text(self._proc / "self" / "cgroup")
        if membership is None:
            return SourceReport(source=self.name, why_not=f"{self._proc}/self/cgroup cannot be read")
        if membership != self._membership or self._place is None:
            self._place = _find(membership, read_text(self._proc / "self" / "mountinfo") or "")
            self._membership = membership
        if self._place is None:
            return SourceReport(source=self.name, why_not="no cgroup hierarchy that counts memory is mounted")
        readings = tuple(r for level in self._place.levels if (r := _read_level(level, self._place)))
        return SourceReport(
            source=self.name,
            readings=readings,
            why_not="" if readings else "no cgroup above this process has a memory limit",
        )

    def close(self) -> None:
        """Forget where the cgroups are."""
        self._membership = self._place = None


def _find(membership: str, mountinfo: str) -> _Place | None:
    """Find our cgroup in the hierarchy that counts memory."""
    own: dict[str, str] = {}
    for line in membership.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            own.update(dict.fromkeys(fields[1].split(","), fields[2]))  # version 2 has no name
    for version, key in ((1, "memory"), (2, "")):
        mount = _mount_of(mountinfo, version)
        if key in own and mount is not None:
            root, inside = mount
            levels = _levels(root, inside, own[key])
            if version == 1 or any((level / "memory.current").exists() for level in levels):
                return _Place(version=1 if version == 1 else 2, root=root, levels=levels)
    return None


def _mount_of(mountinfo: str, version: int) -> tuple[Path, str] | None:
    """Find where a hierarchy is mounted, and which of its cgroups is seen there."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or not kind:
            continue
        is_two = version == 2 and kind[0] == "cgroup2"
        is_one = version == 1 and kind[0] == "cgroup" and "memory" in ",".join(kind[1:]).split(",")
        if is_one or is_two:
            return Path(_unescaped(fields[4])), _unescaped(fields[3])
    return None


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def _levels(root: Path, inside: str, own: str) -> tuple[Path, ...]:
    """List the directories from our cgroup to the mount, as far as they can be seen."""
    path = PurePosixPath(own)
    if inside != "/" and path.is_relative_to(inside):
        path = PurePosixPath("/") / path.relative_to(inside)
    if ".." in path.parts:  # a cgroup namespace that begins below us: only the mount can be seen
        return (root,)
    here = root / str(path).lstrip("/")
    while here != root and not here.is_dir():
        here = here.parent  # a container that bind-mounts its own cgroup as the root
    return (*(here, *here.parents)[: len(here.relative_to(root).parts)], root)


def _read_level(level: Path, place: _Place) -> MemoryReading | None:
    """Read one cgroup; ``None`` if it has no limit, or vanished."""
    if place.version == 2:
        used, limit = read_number(level / "memory.current"), _least_limit(level, "memory.max", "memory.high")
    else:
        used = read_number(level / "memory.usage_in_bytes")
        limit = _least_limit(level, "memory.limit_in_bytes")
    if used is None or not limit:
        return None
    spare = _reclaimable(read_table(level / "memory.stat"), "total_" if place.version == 1 else "")
    inside = "/" + "/".join(level.relative_to(place.root).parts)
    return MemoryReading(
        domain=HOST,
        source=f"cgroup{place.version} {inside}",
        used_bytes=max(0, used - spare),
        limit_bytes=limit,
        stall_share=read_stall_share(level / "memory.pressure") if place.version == 2 else None,
    )


def _least_limit(level: Path, *names: str) -> int | None:
    """Find the least limit that is one. Above ``memory.high`` the kernel makes every allocation wait."""
    limits = [limit for name in names if (limit := read_number(level / name)) is not None]
    return min((limit for limit in limits if limit < _UNLIMITED), default=None)


def _reclaimable(stat: Mapping[str, int], prefix: str) -> int:
    """Count what the kernel takes back before anybody has to wait."""

    def of(name: str) -> int:
        return stat.get(prefix + name, 0)

    mapped, dirty = ("mapped_file", "dirty") if prefix else ("file_mapped", "file_dirty")
    writing = "writeback" if prefix else "file_writeback"
    clean = of("active_file") + of("inactive_file") - of(mapped) - of(dirty) - of(writing)
    return max(0, clean) + of("slab_reclaimable")
