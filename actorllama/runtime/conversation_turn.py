"""What a conversation remembers of its turns, and what it needs of its model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from attrs import frozen

from actorllama.engine import Message, TurnRequest, TurnResult, messages_from
from actorllama.errors import RequestError
from actorllama.runtime.sampling_options import SamplingOptions
from actorllama.runtime.turn import Turn

__all__ = ["Ask", "Boundary", "History", "ModelPort", "SaidTurn", "opened"]


@frozen(kw_only=True)
class Ask:
    """How a turn is to be taken; checked when its request is made."""

    sampling: SamplingOptions
    max_tokens: int | None = None
    stop: str | Sequence[str] = ()
    keep: bool = True


@frozen(kw_only=True)
class Boundary:
    """Where a turn ended."""

    tokens: tuple[int, ...] | None
    """Prompt and reply as the model had them; ``None`` where only the messages and the key are known."""
    lineage: tuple[int, ...] = ()
    """These tokens with the marks of how they were computed; empty where that is not known."""
    key: str | None
    """Names the saved state; ``None`` where nothing was saved."""


@frozen(kw_only=True)
class SaidTurn:
    """A user's message, its reply, and how to tell it again."""

    user: Message
    reply: Message
    boundary: Boundary
    ask: Ask
    seed: int

    @classmethod
    def of(cls, request: TurnRequest, result: TurnResult, *, user: Message, ask: Ask) -> SaidTurn:
        """Remember a turn that has ended."""
        return cls(
            user=user,
            reply=Message(role="assistant", content=result.text),
            boundary=Boundary(
                tokens=request.prompt + result.tokens, lineage=result.lineage, key=result.resume_key
            ),
            ask=ask,
            seed=result.seed,
        )


@frozen(kw_only=True)
class History:
    """Everything said so far."""

    opening: tuple[Message, ...]
    """What came before the first turn."""
    turns: tuple[SaidTurn, ...]

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages, the oldest first."""
        return (*self.opening, *(message for turn in self.turns for message in (turn.user, turn.reply)))

    @property
    def boundary(self) -> Boundary | None:
        """Where the last turn ended; ``None`` before the first."""
        return self.turns[-1].boundary if self.turns else None

    def last(self, operation: str) -> SaidTurn:
        """Return the turn that ``operation`` is about.

        Raises:
            RequestError: There is none.
        """
        if not self.turns:
            raise RequestError(field=operation, value=None, reason="nothing was said yet")
        return self.turns[-1]

    def with_turn(self, turn: SaidTurn) -> History:
        """Add a turn."""
        return History(opening=self.opening, turns=(*self.turns, turn))

    def up_to(self, n_turns: int) -> History:
        """Forget all but the first turns."""
        return History(opening=self.opening, turns=self.turns[:n_turns])


_MakeRequest: TypeAlias = Callable[[Sequence[Message], Boundary | None, Ask], Awaitable[TurnRequest]]
_Take: TypeAlias = Callable[[TurnRequest, float | None], Awaitable[TurnResult]]
_Stream: TypeAlias = Callable[[TurnRequest, float | None, int | None], AbstractAsyncContextManager[Turn]]


@frozen(kw_only=True)
class ModelPort:
    """What a conversation asks of its model."""

    request: _MakeRequest
    """Make a request from all messages, the boundary before the last one, and the ask."""
    take: _Take
    """Take a turn within so many seconds."""
    stream: _Stream
    """Take a turn and read it, within so many seconds, and ahead of its reader by so many tokens."""


def opened(
    system: str | None,
    messages: Sequence[Message | Mapping[str, object]],
    resume_key: str | None,
    ask: Ask,
) -> History:
    """Cut what was said already into what comes before the first turn, and turns.

    Raises:
        RequestError: A message is none, or there is a key and no reply at the end that it could name.
    """
    said = messages_from(messages) if messages else ()
    if system is not None:
        said = messages_from([{"role": "system", "content": system}, *said])
    turns: list[SaidTurn] = []
    while len(said) >= 2 and (said[-2].role, said[-1].role) == ("user", "assistant"):
        boundary = Boundary(tokens=None, key=None if turns else resume_key)
        turns.append(SaidTurn(user=said[-2], reply=said[-1], boundary=boundary, ask=ask, seed=0))
        said = said[:-2]
    if resume_key is not None and not turns:
        raise RequestError(
            field="resume_key",
            value=resume_key,
            reason="goes with the messages of its conversation, a user's and the reply at the end",
        )
    return History(opening=said, turns=tuple(reversed(turns)))
