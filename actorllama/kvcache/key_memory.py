"""Keys that were here or were offered, within a bound: what 2Q and S3-FIFO call a ghost list."""

from __future__ import annotations

__all__ = ["KeyMemory"]


class KeyMemory:
    """Remembers keys without their bytes; what was remembered longest ago is forgotten first.

    Source: the ghost list A1out of 2Q (Johnson and Shasha, VLDB 1994), as S3-FIFO (SOSP 2023) uses it.

    Cost: O(1), and about 150 bytes for each key.
    """

    def __init__(self) -> None:
        """Remember nothing."""
        self._keys: dict[str, None] = {}  # in the order in which they were remembered

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._keys)

    def __contains__(self, key: str) -> bool:
        """Tell whether a key is remembered."""
        return key in self._keys

    def remember(self, key: str, *, n_keys_max: int) -> None:
        """Remember a key as the latest, and forget the oldest above the bound."""
        self._keys.pop(key, None)
        self._keys[key] = None
        while len(self._keys) > n_keys_max:
            del self._keys[next(iter(self._keys))]

    def forget(self, key: str) -> bool:
        """Forget a key; ``False`` if it was not remembered."""
        if key not in self._keys:
            return False
        del self._keys[key]
        return True
