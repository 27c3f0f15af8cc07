"""A conversation that a script holds."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Unpack

from actorllama.aio.blocking_bridge import BlockingBridge
from actorllama.aio.blocking_turn import BlockingTurn
from actorllama.aio.reader import telling
from actorllama.engine import Message, TurnResult
from actorllama.runtime import Conversation, SamplingOptions

__all__ = ["BlockingConversation"]


class BlockingConversation:
    """A conversation, as ``model.conversation()`` gives it in a script.

    Every verb, argument and error is that of `Conversation`.

    Owner: one thread at a time; forks are independent and may run side by side.
    """

    def __init__(self, bridge: BlockingBridge, conversation: Conversation) -> None:
        """Made by ``BlockingModel.conversation``."""
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

    def say(
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
        return self._bridge.call(say)

    @contextmanager
    def stream_say(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        window: int | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Generator[BlockingTurn, None, None]:
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
        with self._bridge.stream(telling(open_turn)) as turn:
            yield turn

    def regenerate(self, *, seed: int | None = None, timeout_s: float | None = None) -> TurnResult:
        """Tell the last reply again, differently; see `Conversation.regenerate`."""
        return self._bridge.call(partial(self._conversation.regenerate, seed=seed, timeout_s=timeout_s))

    def fork(self, *, at: int | None = None) -> BlockingConversation:
        """Begin another conversation with the same past; see `Conversation.fork`."""
        return BlockingConversation(self._bridge, self._conversation.fork(at=at))

    def undo(self) -> None:
        """Forget the last turn, the user's message and the reply; see `Conversation.undo`."""
        self._conversation.undo()
