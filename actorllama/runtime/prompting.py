"""From what a caller writes to token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from actorllama.engine import ChatTemplate, Message, ModelInfo, messages_from
from actorllama.errors import RequestError

__all__ = ["LazyTemplate", "Prompt", "tokens_of"]

Prompt = str | Sequence[int]


class LazyTemplate:
    """A model's chat template, compiled when first used, on the thread that uses it.

    Compiling a large template takes tens of milliseconds, and a broken one must not keep a model from
    loading: it concerns those who send messages only.

    Owner: one model handle. Two threads may both compile it the first time; either result is good.
    """

    def __init__(self, info: ModelInfo) -> None:
        """Remember where the template is."""
        self._facts = info.facts
        self._compiled: ChatTemplate | None = None

    @property
    def is_there(self) -> bool:
        """Whether the model brings a template at all."""
        return bool(self._facts.chat_template)

    def get(self) -> ChatTemplate:
        """Return the compiled template.

        Raises:
            ChatTemplateError: There is none, or it is broken.
        """
        if self._compiled is None:
            facts = self._facts
            self._compiled = ChatTemplate(facts.chat_template, bos=facts.bos_text, eos=facts.eos_text)
        return self._compiled


def tokens_of(
    info: ModelInfo,
    prompt: Prompt | None,
    messages: Sequence[Message | Mapping[str, object]] | None,
    template: LazyTemplate,
) -> tuple[int, ...]:
    """Render and tokenise; blocks, so it runs in a worker thread.

    A plain prompt is text: control tokens spelled in it stay text. Messages go through the model's
    own template, whose control tokens are read as such.

    Raises:
        RequestError: Both or neither of prompt and messages, or an unusable one.
        ChatTemplateError: The model has no template, or it refused the messages.
    """
    if (prompt is None) == (messages is None):
        raise RequestError(field="prompt", value=prompt, reason="give either a prompt or messages")
    if messages is not None:
        text = template.get().render(messages_from(messages))
        return tuple(
            info.vocabulary.tokenize(text, add_special=not _begins_with_bos(info, text), parse_special=True)
        )
    if isinstance(prompt, str):
        if not prompt:
            raise RequestError(
                field="prompt", value="", reason="is empty: a model continues at least one token"
            )
        return tuple(info.vocabulary.tokenize(prompt, add_special=True, parse_special=False))
    return _token_ids(prompt)


def _token_ids(prompt: object) -> tuple[int, ...]:
    given = prompt
    if isinstance(prompt, bytes | bytearray | memoryview) or not isinstance(prompt, Sequence):
        raise RequestError(field="prompt", value=given, reason="must be text or a sequence of token ids")
    return tuple(cast("Sequence[int]", prompt))  # each id is checked with the rest of the request


def _begins_with_bos(info: ModelInfo, text: str) -> bool:
    # Many templates spell the beginning-of-sequence token themselves; a second one would be wrong.
    bos = info.facts.bos_text
    return bool(bos) and text.startswith(bos)
