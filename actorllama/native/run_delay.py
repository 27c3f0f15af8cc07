"""How long a thread that could have run had to wait for a processor."""

from __future__ import annotations

import ctypes
import os

__all__ = ["RunDelay"]

_N_BYTES = 96


class RunDelay:
    """Reads what Linux says about the thread that makes it: ``/proc/thread-self/schedstat``.

    Wall time less the thread's processor time less this is what it waited for something else: a lock, such
    as the interpreter's.

    Owner: the thread that makes it; only there do the numbers mean something.

    Cost: some 2 µs a reading. The interpreter is not let go of, so that reading invites no other thread.
    """

    def __init__(self) -> None:
        """Open the thread's file; where there is none (not Linux), every reading is 0."""
        try:
            self._fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            self._fd = -1
        self._buffer = ctypes.create_string_buffer(_N_BYTES)
        pread = ctypes.PyDLL(None).pread
        pread.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)
        pread.restype = ctypes.c_ssize_t
        self._pread = pread

    @property
    def is_known(self) -> bool:
        """Whether this system tells."""
        return self._fd >= 0

    def read_ns(self) -> int:
        """Return nanoseconds since the thread began; 0 if this system does not tell."""
        if self._fd < 0:
            return 0
        n = self._pread(self._fd, self._buffer, _N_BYTES, 0)
        fields = self._buffer.raw[: max(n, 0)].split()
        return int(fields[1]) if len(fields) > 1 else 0

    def close(self) -> None:
        """Close the file; safe to call again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
