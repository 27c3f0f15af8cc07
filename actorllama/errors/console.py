"""What goes wrong between several consoles."""

from __future__ import annotations

from actorllama.errors.base import ActorLlamaError

__all__ = ["ConversationChanged"]


class ConversationChanged(ActorLlamaError):
    """A saved conversation is not the one that this console read or wrote last; it was not written over."""

    def __init__(self, *, conversation: str, was_known: bool) -> None:
        """Name the conversation, and say whether this console had ever read or written it."""
        self.conversation = conversation
        self.was_known = was_known
        reason = (
            "somebody else has saved more since" if was_known else "somebody has saved another one as that"
        )
        super().__init__(
            f"conversation {conversation!r} was not saved: {reason}. /load {conversation} goes on with that "
            f"one, /save OTHER keeps this one too, /save {conversation} --force writes over that one."
        )
