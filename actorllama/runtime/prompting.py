"""From what a caller writes to token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actorllama.engine import ChatTemplate, Message, ModelInfo, messages_from
from actorllama.errors import ChatTemplateError, RequestError

__all__ = ["Prompt", "tokens_of"]

Prompt = str | Sequence[int]


def tokens_of(
    info: ModelInfo,
    prompt: Prompt | None,
    messages: Sequence[Message | Mapping[str, object]] | None,
    template: ChatTemplate | None,
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
        if template is None:
            raise ChatTemplateError(reason=f"{info.facts.path} has none")
        text = template.render(messages_from(messages))
        return tuple(info.vocabulary.tokenize(text, add_special=not _begins_with_bos(info, text), parse_special=True))
    if isinstance(prompt, str):
        if not prompt:
            raise RequestError(field="prompt", value="", reason="is empty: a model continues at least one token")
        return tuple(info.vocabulary.tokenize(prompt, add_special=True, parse_special=False))
    if isinstance(prompt, bytes) or not isinstance(prompt, Sequence):
        raise RequestError(field="prompt", value=prompt, reason="must be text or a sequence of token ids")
    return tuple(prompt)


def _begins_with_bos(info: ModelInfo, text: str) -> bool:
    # Many templates spell the beginning-of-sequence token themselves; a second one would be wrong.
    bos = info.facts.bos_text
    return bool(bos) and text.startswith(bos)
