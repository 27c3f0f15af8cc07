"""A loaded model, as asyncio programs see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Unpack

from actorllama.aio.bridge import Bridge
from actorllama.aio.conversation import AsyncConversation
from actorllama.aio.turn import AsyncTurn
from actorllama.engine import Message, ModelGauges, ModelStatus, TurnResult, Verdict
from actorllama.native import ContextOptions, ModelFacts
from actorllama.runtime import Model, SamplingOptions

__all__ = ["AsyncModel"]


class AsyncModel:
    """Take turns with one loaded model from an asyncio program.

    Every verb, argument and error is that of `Model`. Tasks of any loop may use it. Cancelling a task
    cancels its turn on the other side, and the sequence is free within one step.
    """

    def __init__(self, bridge: Bridge, model: Model) -> None:
        """Made by ``AsyncRuntime.load``."""
        self._bridge = bridge
        self._model = model

    def __repr__(self) -> str:
        """Name the model and its file."""
        return f"<AsyncModel {self.name} {self.facts.path}>"

    @property
    def name(self) -> str:
        """What the model was called when it was loaded."""
        return self._model.name

    @property
    def facts(self) -> ModelFacts:
        """What the weights file says."""
        return self._model.facts

    @property
    def context_options(self) -> ContextOptions:
        """What the context was opened with."""
        return self._model.context_options

    @property
    def verdict(self) -> Verdict:
        """Which level of exactness holds, and the evidence."""
        return self._model.verdict

    @property
    def has_chat_template(self) -> bool:
        """Whether ``messages=`` can be used."""
        return self._model.has_chat_template

    @property
    def end_tokens(self) -> frozenset[int]:
        """The token ids that end a generation."""
        return self._model.end_tokens

    @property
    def gauges(self) -> ModelGauges:
        """How the model stands: phase, queue, free slots, last hit, speed, counts; see `Model.gauges`."""
        return self._model.gauges

    def for_tenant(self, cache_salt: str) -> AsyncModel:
        """Return a handle whose turns share nothing with other salts; see `Model.for_tenant`."""
        return AsyncModel(self._bridge, self._model.for_tenant(cache_salt))

    async def complete(
        self,
        prompt: str | Sequence[int] | None = None,
        *,
        messages: Sequence[Message | Mapping[str, object]] | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        keep: bool = False,
        **sampling: Unpack[SamplingOptions],
    ) -> TurnResult:
        """Take a turn and return its result; see `Model.complete`."""
        complete = partial(
            self._model.complete,
            prompt,
            messages=messages,
            max_tokens=max_tokens,
            stop=stop,
            timeout_s=timeout_s,
            keep=keep,
            **sampling,
        )
        return await self._bridge.call(complete)

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
        """Go on with a saved turn; see `Model.resume`."""
        resume = partial(
            self._model.resume,
            resume_key,
            max_tokens=max_tokens,
            stop=stop,
            seed=seed,
            timeout_s=timeout_s,
            keep=keep,
        )
        return await self._bridge.call(resume)

    def stream(
        self,
        prompt: str | Sequence[int] | None = None,
        *,
        messages: Sequence[Message | Mapping[str, object]] | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        keep: bool = False,
        window: int | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> AbstractAsyncContextManager[AsyncTurn]:
        """Take a turn and read it while it runs; see `Model.stream`."""
        tell = partial(
            self._model.tell,
            prompt=prompt,
            messages=messages,
            max_tokens=max_tokens,
            stop=stop,
            timeout_s=timeout_s,
            keep=keep,
            window=window,
            **sampling,
        )
        return self._bridge.stream(tell)

    def conversation(
        self,
        system: str | None = None,
        *,
        messages: Sequence[Message | Mapping[str, object]] = (),
        resume_key: str | None = None,
        keep: bool = True,
        name: str = "",
        **sampling: Unpack[SamplingOptions],
    ) -> AsyncConversation:
        """Begin a conversation, or go on with one; see `Model.conversation`."""
        conversation = self._model.conversation(
            system, messages=messages, resume_key=resume_key, keep=keep, name=name, **sampling
        )
        return AsyncConversation(self._bridge, conversation)

    async def status(self) -> ModelStatus:
        """Ask the model's actor what it is doing."""
        return await self._bridge.call(self._model.status)
