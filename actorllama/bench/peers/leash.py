"""Start a program that dies with the bench: ``python leash.py PARENT PROGRAM [ARGUMENT ...]``.

It stands alone (only the standard library, run by its path), so that it costs some 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _main() -> None:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux; elsewhere the bench's own ending must do
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)  # the bench ended while this program began
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    _main()
