"""What the kernel knows of an actor without knowing what it does."""

from __future__ import annotations

from typing import Protocol

from actorllama.actors.reason import ExitReason

__all__ = ["Living"]


class Living(Protocol):
    """What starting, stopping and looking at an actor needs; every `Actor` has it."""

    async def terminate(self, reason: ExitReason, /) -> None:
        """Give back what the actor holds."""
        ...

    def get_state(self) -> object:
        """Show the state."""
        ...

    def set_state(self, state: object, /) -> None:
        """Take another state."""
        ...

    def describe_state(self) -> str:
        """Name the state in one word."""
        ...
