"""How many tokens a model makes in a second."""

from __future__ import annotations

__all__ = ["TokenRate"]

_WINDOW_S = 1.0


class TokenRate:
    """Tokens over the last second in which something ran.

    Owner: the board of one model. Any thread may read: the readings are replaced whole.
    """

    def __init__(self) -> None:
        """Begin without a reading."""
        self._readings: tuple[tuple[float, int], ...] = ()

    @property
    def per_s(self) -> float:
        """Tokens in a second; 0 until two readings tell."""
        readings = self._readings
        if len(readings) < 2:
            return 0.0
        (first_s, n_first), (last_s, n_last) = readings[0], readings[-1]
        return (n_last - n_first) / (last_s - first_s)

    def note(self, n_tokens: int, *, now_s: float) -> None:
        """Take a running total; one that is not newer than the last replaces it."""
        readings = self._readings
        if readings and (now_s <= readings[-1][0] or n_tokens == readings[-1][1]):
            return
        readings = (*readings, (now_s, n_tokens))
        # The newest reading that is a window old stays: it is where the window begins.
        while len(readings) > 2 and now_s - readings[1][0] >= _WINDOW_S:
            readings = readings[1:]
        self._readings = readings

    def forget(self) -> None:
        """Begin again: nothing runs, and the pause is not to count."""
        self._readings = ()
