"""Which process a file belongs to, in a form that a file name can carry."""

from __future__ import annotations

import re

from attrs import frozen

__all__ = ["Owner"]

_FORM = re.compile(r"([0-9a-f]{8})-(\d{1,20})-(\d{1,20})-(\d{1,20})")


@frozen(kw_only=True)
class Owner:
    """One process among all that ever ran on any machine that can see the root.

    A process id alone comes round again; with the time of its start and the boot it does not. Process
    ids of different containers may be equal too, hence the namespace.
    """

    boot: str
    """First 8 hex digits of the kernel's boot id; zeros if unknown."""
    pid_space: int
    """Inode of the process id namespace; 0 if unknown."""
    pid: int
    started: int
    """Start of the process in clock ticks since boot; 0 if unknown."""

    def to_name(self) -> str:
        """Write it as a part of a file name."""
        return f"{self.boot}-{self.pid_space}-{self.pid}-{self.started}"

    @classmethod
    def from_name(cls, text: str) -> Owner | None:
        """Read it back; ``None`` if this is no such name."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        boot, pid_space, pid, started = found.groups()
        return cls(boot=boot, pid_space=int(pid_space), pid=int(pid), started=int(started))
