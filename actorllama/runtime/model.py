"""A loaded model, as its users see it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Unpack

import trio

from actorllama.actors import System
from actorllama.engine import (
    Describe,
    GaugeBoard,
    Message,
    ModelGauges,
    ModelInfo,
    ModelStatus,
    TurnRequest,
    TurnResult,
    Verdict,
    check_request,
)
from actorllama.errors import RequestError
from actorllama.ids import TurnId
from actorllama.native import ContextOptions, ModelFacts
from actorllama.runtime.conversation import Conversation
from actorllama.runtime.conversation_prompt import conversation_request
from actorllama.runtime.conversation_turn import Ask, Boundary, ModelPort, opened
from actorllama.runtime.gauges import read_gauges
from actorllama.runtime.prompting import LazyTemplate, Prompt, tokens_of
from actorllama.runtime.resuming import find_snapshot, resumed_request
from actorllama.runtime.sampling_options import SamplingOptions, params_of
from actorllama.runtime.turn import Turn
from actorllama.runtime.turn_taker import TurnTaker

__all__ = ["Model", "SamplingOptions"]

_CONSTRAINTS = ("grammar", "json_schema", "regex", "choice")
_NAME_MAX = 200  # characters
_INLINE_LENGTH = 2048  # tokenising so many characters takes well under a millisecond; a thread hop takes 0.1


class Model:
    """Take turns with one loaded model.

    The handle names the model, not one incarnation of its actor: after a crash and a restart it goes
    on working. Any task of the runtime's event loop may use it.
    """

    def __init__(
        self,
        *,
        name: str,
        system: System,
        info: ModelInfo,
        board: GaugeBoard,
        next_turn_id: Callable[[], TurnId],
        cache_salt: str = "",
    ) -> None:
        """Made by ``Runtime.load``."""
        self.name = name
        self._board = board
        self._taker = TurnTaker(
            name=name, system=system, info=info, next_turn_id=next_turn_id, cache_salt=cache_salt
        )
        self._template = LazyTemplate(info)

    def __repr__(self) -> str:
        """Name the model and its file."""
        return f"<Model {self.name} {self._taker.info.facts.path}>"

    @property
    def facts(self) -> ModelFacts:
        """What the weights file says."""
        return self._taker.info.facts

    @property
    def context_options(self) -> ContextOptions:
        """What the context was opened with."""
        return self._taker.info.options

    @property
    def verdict(self) -> Verdict:
        """Which level of exactness holds, and the evidence."""
        return self._taker.info.verdict

    @property
    def has_chat_template(self) -> bool:
        """Whether ``messages=`` can be used."""
        return self._template.is_there

    @property
    def end_tokens(self) -> frozenset[int]:
        """The token ids that end a generation."""
        return self._taker.info.vocabulary.end_tokens

    def for_tenant(self, cache_salt: str) -> Model:
        """Return a handle whose turns share what was computed with nobody but turns of the same salt.

        Without it, a prompt's first-token time tells whether somebody has asked it before; and a turn that
        is kept can be resumed by whoever has its key.

        Args:
            cache_salt: A secret of the tenant: any text but the empty one.

        Raises:
            RequestError: It is none.
        """
        if not isinstance(cache_salt, str) or not cache_salt:
            raise RequestError(field="cache_salt", value=cache_salt, reason="must be a text, and not empty")
        return Model(
            name=self.name,
            system=self._taker.system,
            info=self._taker.info,
            board=self._board,
            next_turn_id=self._taker.next_turn_id,
            cache_salt=cache_salt,
        )

    @property
    def gauges(self) -> ModelGauges:
        """How the model stands: phase, queue, free slots, last hit, speed, counts.

        For routers: no call, no lock, no wait; any thread may read. A turn that is taken now may find it
        otherwise.
        """
        return read_gauges(self._board, self._taker.system)

    async def complete(
        self,
        prompt: Prompt | None = None,
        *,
        messages: Sequence[Message | Mapping[str, object]] | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        keep: bool = False,
        **sampling: Unpack[SamplingOptions],
    ) -> TurnResult:
        """Take a turn and return its result.

        Args:
            prompt: Text to continue, or token ids.
            messages: A chat instead of a prompt, rendered by the model's own template.
            max_tokens: Tokens to generate at most; by default until the model ends or the sequence is full.
            stop: Strings that end the turn; they are not part of its text.
            timeout_s: Seconds for the whole turn, its time in the queue included.
            keep: Save the turn at its end; ``result.resume_key`` then names it.
            sampling: See ``SamplingParams``.

        Raises:
            RequestError: A parameter is out of bounds.
            ContextFull: The prompt does not fit.
            ChatTemplateError: The messages cannot be rendered.
            Busy: The queue is full.
            TurnTimeout: ``timeout_s`` has passed.
            TurnCancelled: The model was unloaded meanwhile.
            ModelUnavailable: The model's actor died; the message says why.
            ModelNotLoaded: There is no such model any more.
        """
        request = await self._request(prompt, messages, max_tokens, stop, sampling, keep=keep)
        return await self._taker.take(request, timeout_s)

    async def resume(
        self,
        resume_key: str,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        timeout_s: float | None = None,
        keep: bool = True,
    ) -> TurnResult:
        """Go on with a saved turn: the same text, sampler and random numbers as if it had not ended.

        Args:
            resume_key: ``result.resume_key`` of a turn that was kept, in this process or, with a
                ``state_dir``, in an earlier one. Any number of turns may go on from one key.
            max_tokens: Tokens to generate at most.
            stop: Other stop strings than the saved turn's.
            seed: Another seed: from here on the turn is told differently.
            timeout_s: As for ``complete``.
            keep: Save this turn at its end, too.

        Raises:
            SnapshotNotFound: No tier has the key.
            SnapshotMismatch: It was saved by another model, build or layout.
            RequestError: A parameter is out of bounds.
            ContextFull: The saved turn has filled its sequence.
            Exception: And what ``complete`` raises.
        """
        info = await self._taker.current_info()
        hit = await find_snapshot(self._taker.system, resume_key, info, cache_salt=self._taker.cache_salt)
        request = resumed_request(hit, info, max_tokens=max_tokens, stop=stop, seed=seed, keep=keep)
        return await self._taker.take(request, timeout_s)

    @asynccontextmanager
    async def stream(
        self,
        prompt: Prompt | None = None,
        *,
        messages: Sequence[Message | Mapping[str, object]] | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        keep: bool = False,
        window: int | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> AsyncGenerator[Turn, None]:
        """Take a turn and read it while it runs; arguments and errors as for ``complete``.

        Args:
            prompt: As for ``complete``.
            messages: As for ``complete``.
            max_tokens: As for ``complete``.
            stop: As for ``complete``.
            timeout_s: As for ``complete``.
            keep: As for ``complete``.
            window: Tokens that the turn may run ahead of its reader. Default: the configuration's.
            sampling: As for ``complete``.

        Yields:
            The turn. Errors come out of the ``async with`` block, typed as they are, not in groups.
        """
        request = await self._request(prompt, messages, max_tokens, stop, sampling, keep=keep)
        async with self._taker.stream(request, timeout_s, window) as turn:
            yield turn

    async def tell(
        self,
        begin: Callable[[Turn], None],
        prompt: Prompt | None = None,
        *,
        messages: Sequence[Message | Mapping[str, object]] | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        keep: bool = False,
        window: int | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> TurnResult:
        """Take a turn in this task and hand its text over as it comes: for a reader on another thread.

        It costs less than ``stream``, which needs a second task because its caller reads.

        Args:
            begin: Called with the turn before it is asked for; it must ``divert`` the text, and not wait.
            prompt: As for ``complete``.
            messages: As for ``complete``.
            max_tokens: As for ``complete``.
            stop: As for ``complete``.
            timeout_s: As for ``complete``.
            keep: As for ``complete``.
            window: As for ``stream``.
            sampling: As for ``complete``.

        Raises:
            Exception: What ``complete`` raises.
        """
        request = await self._request(prompt, messages, max_tokens, stop, sampling, keep=keep)
        return await self._taker.tell(request, timeout_s, window, begin)

    def conversation(
        self,
        system: str | None = None,
        *,
        messages: Sequence[Message | Mapping[str, object]] = (),
        resume_key: str | None = None,
        keep: bool = True,
        name: str = "",
        **sampling: Unpack[SamplingOptions],
    ) -> Conversation:
        """Begin a conversation, or go on with one.

        To go on after a restart, store ``chat.messages`` and ``chat.resume_key`` and give both back. The
        key finds the saved turn; without it, or when nothing has it any more, the messages are computed
        again: that costs time, nothing else.

        Args:
            system: What the model is told before anything is said.
            messages: What was said already.
            resume_key: The key of the conversation whose messages these are.
            keep: Save every turn, so that the next one computes only what is new.
            name: What people call it, at most 200 characters: ``actorllama cache ls`` tells it of each turn.
            sampling: Defaults of the turns; see ``SamplingParams``.

        Raises:
            RequestError: A message is none, the key belongs to no reply, or the name is too long.
        """
        if not isinstance(name, str) or len(name) > _NAME_MAX:
            raise RequestError(
                field="name", value=name, reason=f"must be a text of at most {_NAME_MAX} characters"
            )
        history = opened(system, messages, resume_key, Ask(keep=keep, sampling=sampling))
        port = ModelPort(request=self._conversation_request, take=self._taker.take, stream=self._taker.stream)
        return Conversation(port=port, history=history, keep=keep, sampling=sampling, name=name)

    async def status(self) -> ModelStatus:
        """Ask the model's actor what it is doing."""
        return await (await self._taker.ref()).call(Describe())

    # -- behind the face -----------------------------------------------------------------------

    async def _request(
        self,
        prompt: Prompt | None,
        messages: Sequence[Message | Mapping[str, object]] | None,
        max_tokens: int | None,
        stop: str | Sequence[str],
        sampling: SamplingOptions,
        *,
        keep: bool,
    ) -> TurnRequest:
        info = await self._taker.current_info()
        if messages is None and isinstance(prompt, str | tuple | list) and len(prompt) <= _INLINE_LENGTH:
            tokens = tokens_of(info, prompt, messages, self._template)
        else:
            # A template may loop and a long text takes milliseconds: not on the event loop.
            tokens = await trio.to_thread.run_sync(
                tokens_of, info, prompt, messages, self._template, abandon_on_cancel=True
            )
        check = partial(
            check_request,
            prompt=tokens,
            sampling=params_of(sampling),
            max_tokens=max_tokens,
            stop=stop,
            keep=keep,
            vocabulary=info.vocabulary,
            context=info.context,
        )
        if any(sampling.get(name) is not None for name in _CONSTRAINTS):
            # Compiling a large grammar or schema takes up to a fifth of a second.
            return await trio.to_thread.run_sync(check, abandon_on_cancel=True)
        return check()

    async def _conversation_request(
        self, messages: Sequence[Message], before: Boundary | None, ask: Ask
    ) -> TurnRequest:
        info = await self._taker.current_info()
        return await conversation_request(
            self._taker.system, info, self._template, messages, before, ask, cache_salt=self._taker.cache_salt
        )
