"""Touching pages ahead of their use."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Sequence

from attrs import field, frozen

__all__ = ["PAGE_BYTES", "Prefault"]

PAGE_BYTES = mmap.PAGESIZE
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE of Linux 5.14; Python has no name for it
_STEP_BYTES = 2 << 20  # madvise keeps the GIL; this is one large page


@frozen(kw_only=True)
class Prefault:
    """Free pages of an arena, reserved until they have been touched.

    They return to the arena when the last reference to this dies, so do not keep it.
    """

    pieces: Sequence[memoryview] = field(repr=False)
    """What is to be touched; all of it belongs to nobody else meanwhile."""
    mapping: mmap.mmap = field(repr=False)
    offsets: Sequence[int]
    """Where each piece begins in the mapping, in bytes."""

    @property
    def n_bytes(self) -> int:
        """How much is touched."""
        return sum(len(piece) for piece in self.pieces)

    def run(self) -> None:
        """Touch the pages; on any thread, once. Where memory is short it stops early and says nothing.

        Cost: 0.1 s per gigabyte, 2.5 s where the machine is a guest whose host must find the memory first.
        Other threads run meanwhile, but for 5 ms at a time.
        """
        for piece, offset in zip(self.pieces, self.offsets, strict=True):
            for first in range(0, len(piece), _STEP_BYTES):
                step = piece[first : first + _STEP_BYTES]
                try:
                    self.mapping.madvise(_POPULATE_WRITE, offset + first, len(step))
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        return
                    for page in range(0, len(step), PAGE_BYTES):  # a kernel that cannot be asked
                        step[page] = 0
