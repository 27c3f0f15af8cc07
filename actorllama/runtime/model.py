"""A loaded model, as its users see it."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Unpack

import trio

from actorllama.actors import Crash, Ref, Shutdown, System, which_children
from actorllama.engine import (
    CancelTake,
    Describe,
    Message,
    ModelInfo,
    ModelStatus,
    TakeTurn,
    TurnRequest,
    TurnResult,
    TurnStream,
    Verdict,
    WaitReady,
    check_request,
)
from actorllama.errors import ActorExited, ModelNotLoaded, ModelUnavailable, TurnTimeout
from actorllama.ids import TurnId
from actorllama.native import ContextOptions, ModelFacts
from actorllama.native.sampling import check_number
from actorllama.runtime.conversation import Conversation
from actorllama.runtime.conversation_prompt import conversation_request
from actorllama.runtime.conversation_turn import Ask, Boundary, ModelPort, opened
from actorllama.runtime.names import model_name, supervisor_name
from actorllama.runtime.prompting import LazyTemplate, Prompt, tokens_of
from actorllama.runtime.resuming import find_snapshot, resumed_request
from actorllama.runtime.sampling_options import SamplingOptions, params_of
from actorllama.runtime.turn import Turn

__all__ = ["Model", "SamplingOptions"]

_MAX_TIMEOUT_S = 1e9  # thirty years; beyond that it is infinity that is meant
_MAX_WINDOW = 1 << 20
_CONSTRAINTS = ("grammar", "json_schema", "regex", "choice")
_INLINE_CHARS = 2048  # tokenising this much takes well under a millisecond; a thread hop takes 0.1


class Model:
    """Take turns with one loaded model.

    The handle names the model, not one incarnation of its actor: after a crash and a restart it goes
    on working. Any task of the runtime's event loop may use it.
    """

    def __init__(
        self, *, name: str, system: System, info: ModelInfo, next_turn_id: Callable[[], TurnId]
    ) -> None:
        """Made by ``Runtime.load``."""
        self.name = name
        self._system = system
        self._info = info
        self._next_turn_id = next_turn_id
        self._template = LazyTemplate(info)

    def __repr__(self) -> str:
        """Name the model and its file."""
        return f"<Model {self.name} {self._info.facts.path}>"

    @property
    def facts(self) -> ModelFacts:
        """What the weights file says."""
        return self._info.facts

    @property
    def context_options(self) -> ContextOptions:
        """What the context was opened with."""
        return self._info.options

    @property
    def verdict(self) -> Verdict:
        """Which level of exactness holds, and the evidence."""
        return self._info.verdict

    @property
    def has_chat_template(self) -> bool:
        """Whether ``messages=`` can be used."""
        return self._template.is_there

    @property
    def end_tokens(self) -> frozenset[int]:
        """The token ids that end a generation."""
        return self._info.vocabulary.end_tokens

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
        return await self._take_one(request, timeout_s)

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
        info = await self._current_info()
        hit = await find_snapshot(self._system, resume_key, info)
        request = resumed_request(hit, info, max_tokens=max_tokens, stop=stop, seed=seed, keep=keep)
        return await self._take_one(request, timeout_s)

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
        async with self._streamed(request, timeout_s, window) as turn:
            yield turn

    def conversation(
        self,
        system: str | None = None,
        *,
        messages: Sequence[Message | Mapping[str, object]] = (),
        resume_key: str | None = None,
        keep: bool = True,
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
            sampling: Defaults of the turns; see ``SamplingParams``.

        Raises:
            RequestError: A message is none, or the key belongs to no reply.
        """
        history = opened(system, messages, resume_key, Ask(keep=keep, sampling=sampling))
        port = ModelPort(request=self._conversation_request, take=self._take_one, stream=self._streamed)
        return Conversation(port=port, history=history, keep=keep, sampling=sampling)

    async def status(self) -> ModelStatus:
        """Ask the model's actor what it is doing."""
        return await (await self._ref()).call(Describe())

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
        info = await self._current_info()
        if messages is None and isinstance(prompt, str) and len(prompt) <= _INLINE_CHARS:
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
        info = await self._current_info()
        return await conversation_request(self._system, info, self._template, messages, before, ask)

    async def _take_one(self, request: TurnRequest, timeout_s: float | None) -> TurnResult:
        return await self._take(self._next_turn_id(), request, None, _checked_timeout(timeout_s))

    @asynccontextmanager
    async def _streamed(
        self, request: TurnRequest, timeout_s: float | None, window: int | None
    ) -> AsyncGenerator[Turn, None]:
        limit_s = _checked_timeout(timeout_s)
        window = self._info.stream_window if window is None else window
        check_number("window", window, low=2, high=_MAX_WINDOW, integer=True)
        turn_id = self._next_turn_id()
        stream = TurnStream(window=window)
        turn = Turn(turn_id, stream)
        failure: Exception | None = None
        body_failure: Exception | None = None

        async def take() -> None:
            nonlocal failure
            try:
                turn.finish(await self._take(turn_id, request, stream, limit_s))
            except Exception as exc:  # noqa: BLE001 - raised below, outside the nursery's group
                failure = exc
                reading.cancel()
            finally:
                stream.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            with trio.CancelScope() as reading:
                try:
                    yield turn
                except Exception as exc:  # noqa: BLE001 - raised below, outside the nursery's group
                    body_failure = exc
            nursery.cancel_scope.cancel()
        if body_failure is not None:
            raise body_failure
        if failure is not None:
            raise failure

    async def _take(
        self, turn_id: TurnId, request: TurnRequest, stream: TurnStream | None, timeout_s: float
    ) -> TurnResult:
        ref = await self._ref()
        message = TakeTurn(turn_id=turn_id, request=request, stream=stream)
        is_over = False
        try:
            with trio.move_on_after(timeout_s):
                result = await ref.call(message, timeout_s=math.inf)
                is_over = True
                return result
            raise TurnTimeout(turn_id=turn_id, timeout_s=timeout_s)
        except ActorExited as exc:
            is_over = True
            raise ModelUnavailable(model=self.name, reason=_why(exc)) from exc
        finally:
            if not is_over and ref.is_alive:
                ref.info_nowait(CancelTake(turn_id=turn_id, reason="its caller left"))

    async def _current_info(self) -> ModelInfo:
        """Return what requests are checked against; ask again if the model was rebuilt meanwhile."""
        if self._info.vocabulary.is_closed:
            ref = await self._ref()
            try:
                self._info = await ref.call(WaitReady(), timeout_s=math.inf)
            except ActorExited as exc:
                raise ModelUnavailable(model=self.name, reason=_why(exc)) from exc
        return self._info

    async def _ref(self) -> Ref:
        """Find the present incarnation of the model's actor."""
        ref = self._system.whereis(model_name(self.name))
        if ref is not None:
            await trio.lowlevel.checkpoint()
            return ref
        supervisor = self._system.whereis(supervisor_name(self.name))
        if supervisor is None:
            await trio.lowlevel.checkpoint()
            raise ModelNotLoaded(model=self.name, loaded=())
        # Between a death and a restart nobody has the name. The supervisor answers when it has
        # dealt with the death, because that came first.
        try:
            children = await which_children(supervisor)
        except ActorExited as exc:
            raise ModelUnavailable(model=self.name, reason=_why(exc)) from exc
        if not children or children[0].ref is None:
            raise ModelUnavailable(model=self.name, reason="it is being rebuilt after a crash")
        return children[0].ref


def _checked_timeout(timeout_s: float | None) -> float:
    if timeout_s is None:
        return math.inf
    if timeout_s != math.inf:
        check_number("timeout_s", timeout_s, low=0.0, high=_MAX_TIMEOUT_S, above_low=True)
    return timeout_s


def _why(exc: ActorExited) -> str:
    match exc.reason:
        case Crash(cause):
            return f"its actor crashed ({cause})"
        case Shutdown(term) if isinstance(term, Exception):
            return str(term)
        case reason:
            return f"its actor ended: {reason}"
