"""A conversation that an asyncio program holds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Unpack

from actorllama.aio.bridge import Bridge
from actorllama.aio.reader import telling
from actorllama.aio.turn import AsyncTurn
from actorllama.engine import Message, TurnResult
from actorllama.runtime import Conversation, SamplingOptions

__all__ = ["AsyncConversation"]


class AsyncConversation:
    """A conversation, as ``model.conversation()`` gives it in an asyncio program.

    Every verb, argument and error is that of `Conversation`.

    Owner: one task at a time; forks are independent and may run side by side.
    """

    def __init__(self, bridge: Bridge, conversation: Conversation) -> None:
        """Made by ``AsyncModel.conversation``."""
        self._bridge = bridge
        self._conversation = conversation

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything said so far, the oldest first."""
        return self._conversation.messages

    @property
    def n_turns(self) -> int:
        """User's messages with their replies."""
        return self._conversation.n_turns

    @property
    def resume_key(self) -> str | None:
        """Name the saved state of the last turn; ``None`` before the first, and where it was not saved."""
        return self._conversation.resume_key

    async def say(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> TurnResult:
        """Say something and return the reply; see `Conversation.say`."""
        say = partial(
            self._conversation.say, text, max_tokens=max_tokens, stop=stop, timeout_s=timeout_s, **sampling
        )
        return await self._bridge.call(say)

    def stream_say(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        window: int | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> AbstractAsyncContextManager[AsyncTurn]:
        """Say something and read the reply while it comes; see `Conversation.stream_say`."""
        open_turn = partial(
            self._conversation.stream_say,
            text,
            max_tokens=max_tokens,
            stop=stop,
            timeout_s=timeout_s,
            window=window,
            **sampling,
        )
        return self._bridge.stream(telling(open_turn))

    async def regenerate(self, *, seed: int | None = None, timeout_s: float | None = None) -> TurnResult:
        """Tell the last reply again, differently; see `Conversation.regenerate`."""
        return await self._bridge.call(partial(self._conversation.regenerate, seed=seed, timeout_s=timeout_s))

    def fork(self, *, at: int | None = None) -> AsyncConversation:
        """Begin another conversation with the same past; see `Conversation.fork`."""
        return AsyncConversation(self._bridge, self._conversation.fork(at=at))

    def undo(self) -> None:
        """Forget the last turn, the user's message and the reply; see `Conversation.undo`."""
        self._conversation.undo()
