"""A conversation with a model: it remembers what was said, and computes only what is new."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Unpack

from attrs import evolve

from actorllama.engine import Message, TurnRequest, TurnResult, messages_from
from actorllama.errors import RequestError
from actorllama.runtime.conversation_turn import Ask, History, ModelPort, SaidTurn
from actorllama.runtime.sampling_options import SamplingOptions
from actorllama.runtime.turn import Turn

__all__ = ["Conversation"]

_N_SEEDS = 1 << 32


class Conversation:
    """A conversation, as ``model.conversation()`` gives it.

    ::

        chat = model.conversation("You are terse.", temperature=0.7)
        print((await chat.say("My name is Ada.")).text)
        other = chat.fork()
        print((await chat.say("What is my name?")).text)

    What the model sees is exact: the tokens it was given and the tokens it chose, never a reply that was
    tokenised again. A stop string that ended a reply therefore stays in what the model sees, and is in no
    message. Each turn goes on from the saved state of the one before, with its own seed and sampler; where
    the state is gone, or the model's template writes the past anew, ``result.usage.n_cached`` is 0.

    A turn that fails or is cancelled leaves the conversation as it was.

    Owner: one task at a time; forks are independent and may run side by side.
    """

    def __init__(
        self, *, port: ModelPort, history: History, keep: bool, sampling: SamplingOptions, name: str = ""
    ) -> None:
        """Made by ``Model.conversation``."""
        self.name = name
        """What people call it; saved turns tell it."""
        self._port = port
        self._history = history
        self._keep = keep
        self._sampling = sampling
        self._is_busy = False

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything said so far, the oldest first."""
        return self._history.messages

    @property
    def n_turns(self) -> int:
        """User's messages with their replies."""
        return len(self._history.turns)

    @property
    def resume_key(self) -> str | None:
        """Name the saved state of the last turn; with ``messages``, all that a restart needs.

        ``None`` before the first turn, and where the last one was not saved.
        """
        boundary = self._history.boundary
        return None if boundary is None else boundary.key

    async def say(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> TurnResult:
        """Say something and return the reply.

        Args:
            text: The user's message.
            max_tokens: Tokens of the reply at most.
            stop: Strings that end the reply; they are not part of its text.
            timeout_s: Seconds for the whole turn, its time in the queue included.
            sampling: For this turn, over the conversation's.

        Raises:
            RequestError: A parameter is out of bounds, or a turn of this conversation is running.
            ContextFull: The conversation does not fit any more; undo, or begin another.
            Exception: And what ``Model.complete`` raises.
        """
        ask = self._ask(max_tokens, stop, sampling)
        with self._turn():
            return await self._tell(self._history, text, ask, timeout_s)

    @asynccontextmanager
    async def stream_say(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        window: int | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> AsyncGenerator[Turn, None]:
        """Say something and read the reply while it comes; a reply that is not read to its end is not kept.

        Args:
            text: As for ``say``.
            max_tokens: As for ``say``.
            stop: As for ``say``.
            timeout_s: As for ``say``.
            window: As for ``Model.stream``.
            sampling: As for ``say``.

        Yields:
            The turn, as ``Model.stream`` does. The conversation has it when the block has been left.
        """
        ask = self._ask(max_tokens, stop, sampling)
        with self._turn():
            user, request = await self._request(self._history, text, ask)
            async with self._port.stream(request, timeout_s, window) as turn:
                yield turn
            if turn.is_done:
                said = SaidTurn.of(request, turn.result, user=user, ask=ask)
                self._history = self._history.with_turn(said)

    async def regenerate(self, *, seed: int | None = None, timeout_s: float | None = None) -> TurnResult:
        """Tell the last reply again, differently; only the user's last message is computed again.

        Args:
            seed: Another seed; by default the one after the last reply's. All else is as it was.
            timeout_s: As for ``say``.

        Raises:
            RequestError: Nothing was said yet, or a turn of this conversation is running.
            Exception: And what ``say`` raises; the last reply then stays.
        """
        last = self._history.last("regenerate")
        seed = (last.seed + 1) % _N_SEEDS if seed is None else seed
        ask = evolve(last.ask, sampling={**last.ask.sampling, "seed": seed})
        with self._turn():
            before = self._history.up_to(self.n_turns - 1)
            return await self._tell(before, last.user.content, ask, timeout_s)

    def fork(self, *, at: int | None = None) -> Conversation:
        """Begin another conversation with the same past.

        Args:
            at: How many turns of this one it has; by default all that have ended.

        Raises:
            RequestError: There are not so many turns.
        """
        n_turns = self.n_turns if at is None else at
        if isinstance(n_turns, bool) or not isinstance(n_turns, int) or not 0 <= n_turns <= self.n_turns:
            raise RequestError(field="at", value=at, reason=f"must be 0 to {self.n_turns}, a number of turns")
        history = self._history.up_to(n_turns)
        return Conversation(
            port=self._port, history=history, keep=self._keep, sampling=self._sampling, name=self.name
        )

    def undo(self) -> None:
        """Forget the last turn, the user's message and the reply.

        Raises:
            RequestError: Nothing was said yet, or a turn of this conversation is running.
        """
        self._history.last("undo")
        with self._turn():
            self._history = self._history.up_to(self.n_turns - 1)

    # -- behind the face -----------------------------------------------------------------------

    async def _tell(self, history: History, text: str, ask: Ask, timeout_s: float | None) -> TurnResult:
        user, request = await self._request(history, text, ask)
        result = await self._port.take(request, timeout_s)
        self._history = history.with_turn(SaidTurn.of(request, result, user=user, ask=ask))
        return result

    async def _request(self, history: History, text: str, ask: Ask) -> tuple[Message, TurnRequest]:
        (user,) = messages_from([{"role": "user", "content": text}])
        request = await self._port.request((*history.messages, user), history.boundary, ask)
        return user, evolve(request, label=self.name)

    def _ask(self, max_tokens: int | None, stop: str | Sequence[str], sampling: SamplingOptions) -> Ask:
        merged: SamplingOptions = {**self._sampling, **sampling}
        return Ask(sampling=merged, max_tokens=max_tokens, stop=stop, keep=self._keep)

    @contextmanager
    def _turn(self) -> Generator[None, None, None]:
        """Let one turn run at a time: the next one needs its end."""
        if self._is_busy:
            raise RequestError(
                field="say", value=None, reason="a turn of this conversation is running; wait, or fork it"
            )
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False
