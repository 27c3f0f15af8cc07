"""The full garbage collection that a young process still has before it."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["collect_if_young"]

_N_OF_A_YOUNG_PROCESS: Final = 6  # full collections; imports cause one, those of a large service some more


def collect_if_young() -> bool:
    """Make the full collection now that Python would soon make by itself; say whether there was one.

    Imports and a load leave some 70,000 objects that no full collection has seen. Python makes one as soon as
    enough others have joined them, which is in the first turn, and nothing of the process goes on meanwhile:
    20 to 50 ms, as much as a whole restore. A process that has run for a while has that behind it.

    Nothing is frozen, no threshold is changed, and a program that has switched collections off is left alone.

    Cost: as said, on any thread.
    """
    if not gc.isenabled() or gc.get_stats()[2]["collections"] >= _N_OF_A_YOUNG_PROCESS:
        return False
    gc.collect()
    return True
