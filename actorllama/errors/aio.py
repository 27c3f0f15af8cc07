"""What goes wrong on the way to a runtime on another thread."""

from __future__ import annotations

from actorllama.errors.engine import EngineError

__all__ = ["RuntimeClosed"]


class RuntimeClosed(EngineError):
    """The runtime ended, by its owner or by a failure; nothing more comes from it."""

    def __init__(self, *, reason: str) -> None:
        """Say why it ended."""
        self.reason = reason
        super().__init__(f"the runtime is closed: {reason}. Open a new one.")
