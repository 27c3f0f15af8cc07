"""How long a thread may keep the engine waiting for the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["short_switch_interval"]


@contextmanager
def short_switch_interval(interval_s: float) -> Generator[None]:
    """Let threads take the interpreter from each other after ``interval_s``, and put it back afterwards.

    The engine's thread lets go of the interpreter (the GIL) in ``llama_decode`` and needs it back to choose
    tokens. If another thread computes in Python just then, it keeps it for the switch interval, 5 ms by
    default: longer than a whole step of a small model. Measured with an event loop that never rests, the
    engine waits for as long as the interval says, at every step; with one that does, for nothing.

    It holds for the whole process, so a shorter interval that the program has set already is left alone,
    and so is one that it sets inside the block. With two runtimes side by side, the first that is closed puts
    it back.

    Args:
        interval_s: In seconds; 0 changes nothing.
    """
    before_s = sys.getswitchinterval()
    if not 0 < interval_s < before_s:
        yield
        return
    sys.setswitchinterval(interval_s)
    set_s = sys.getswitchinterval()  # rounded to microseconds
    try:
        yield
    finally:
        if sys.getswitchinterval() == set_s:
            sys.setswitchinterval(before_s)
