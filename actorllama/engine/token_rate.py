"""How many tokens a model makes in a second."""

from __future__ import annotations

from collections import deque

__all__ = ["TokenRate"]

_WINDOW_S = 1.0


class TokenRate:
    """Tokens over the last second in which something ran.

    Owner: the board of one model.
    """

    def __init__(self) -> None:
        """Begin without a reading."""
        self._readings: deque[tuple[float, int]] = deque()

    @property
    def per_s(self) -> float:
        """Tokens in a second; 0 until two readings tell."""
        if len(self._readings) < 2:
            return 0.0
        (first_s, n_first), (last_s, n_last) = self._readings[0], self._readings[-1]
        return (n_last - n_first) / (last_s - first_s)

    def note(self, n_tokens: int, *, now_s: float) -> None:
        """Take a running total; one that is not newer than the last replaces it."""
        if self._readings and (now_s <= self._readings[-1][0] or n_tokens == self._readings[-1][1]):
            return
        self._readings.append((now_s, n_tokens))
        # The newest reading that is a window old stays: it is where the window begins.
        while len(self._readings) > 2 and now_s - self._readings[1][0] >= _WINDOW_S:
            self._readings.popleft()

    def forget(self) -> None:
        """Begin again: nothing runs, and the pause is not to count."""
        self._readings.clear()
