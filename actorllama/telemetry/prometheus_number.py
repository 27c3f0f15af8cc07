"""One time series that is a number."""

from __future__ import annotations

import time
from collections.abc import Iterator

__all__ = ["Number"]


class Number:
    """A count or a level: one plain float, changed where the facts are read and read where it is scraped.

    Owner: the readers, in the late handlers' thread; any thread may read.
    """

    __slots__ = ("created_s", "value")

    def __init__(self) -> None:
        """Begin at zero."""
        self.value = 0.0
        self.created_s = time.time()

    def inc(self, by: float = 1.0) -> None:
        """Add to it."""
        self.value += by

    def set(self, to: float) -> None:
        """Say what it is now."""
        self.value = float(to)

    def parts(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Give what a scrape tells of it: what is put behind its name, labels beside its own, the number."""
        yield "", {}, self.value
