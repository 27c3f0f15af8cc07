"""The accounts of a fake backend: whatever was opened must be freed, once."""

from __future__ import annotations

from collections import Counter

from actorllama.errors import ActorLlamaError

__all__ = ["FakeLedger", "LeakFound"]


class LeakFound(ActorLlamaError, AssertionError):
    """Something fake is still open, or was freed twice."""

    def __init__(self, *, open_ids: tuple[str, ...], freed_twice: tuple[str, ...]) -> None:
        """Name the objects, in the order they were opened."""
        self.open_ids = open_ids
        self.freed_twice = freed_twice
        super().__init__(
            f"still open: {', '.join(open_ids) or 'nothing'}; "
            f"freed twice: {', '.join(freed_twice) or 'nothing'}. "
            "Look for the path that forgets to close it."
        )


class FakeLedger:
    """Write down every opening and every freeing of a model, context or sampler.

    Any thread may write (appending to a list is atomic); the test reads when the runtime is closed.
    """

    def __init__(self) -> None:
        """Begin with empty accounts."""
        self._opened: list[str] = []
        self._freed: list[str] = []

    def open(self, kind: str) -> str:
        """Note an opening and give the object its name, such as ``context#2``."""
        name = f"{kind}#{self.n_opened(kind) + 1}"
        self._opened.append(name)
        return name

    def free(self, name: str) -> None:
        """Note that an object was freed."""
        self._freed.append(name)

    def n_opened(self, kind: str) -> int:
        """Count the objects of a kind (``model``, ``context``, ``sampler``) ever opened."""
        return sum(name.startswith(f"{kind}#") for name in self._opened)

    def n_open(self, kind: str) -> int:
        """Count those that are open now."""
        return self.n_opened(kind) - sum(name.startswith(f"{kind}#") for name in self._freed)

    def check(self) -> None:
        """Insist that everything opened was freed exactly once.

        Raises:
            LeakFound: With the names of what was not.
        """
        freed = Counter(self._freed)
        still_open = tuple(name for name in self._opened if not freed[name])
        twice = tuple(name for name, n in freed.items() if n > 1)
        if still_open or twice:
            raise LeakFound(open_ids=still_open, freed_twice=twice)
