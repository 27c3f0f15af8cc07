"""Keeps the number of a label's values small, whatever names users give."""

from __future__ import annotations

__all__ = ["OTHER", "BoundedLabels"]

OTHER = "other"


class BoundedLabels:
    """Lets the first names through and calls the rest `OTHER`.

    Each value of a label is a time series that the process and its Prometheus server keep for good.

    Owner: the handler that made it. Two threads that bring the last new name at once may both be let
    through: the bound is then exceeded by one, which harms nobody.
    """

    def __init__(self, limit: int) -> None:
        """Know no name."""
        self._limit = limit
        self._names: set[str] = set()

    def of(self, name: object) -> str:
        """Give the label of a name."""
        text = str(name)
        if text not in self._names:
            if len(self._names) >= self._limit:
                return OTHER
            self._names.add(text)
        return text
