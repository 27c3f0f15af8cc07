"""Turn a conversation into the text that a model was trained to see, by the model's own template.

There is no fallback: a model without a template is told apart from one with it, because a guessed format
gives answers that are wrong in a way nobody sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from attrs import frozen

from actorllama.errors import ChatTemplateError, RequestError

__all__ = ["ChatTemplate", "Message", "Role", "messages_from"]

Role = Literal["system", "developer", "user", "assistant", "tool"]

_MAX_SOURCE_CHARS: Final = 1_000_000


@frozen(kw_only=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


def messages_from(source: object) -> tuple[Message, ...]:
    """Check messages that come from outside.

    Args:
        source: A list or tuple of :class:`Message` or of mappings with exactly ``role`` and ``content``.

    Raises:
        RequestError: Names the message and what is wrong with it.
    """
    if not isinstance(source, list | tuple):
        raise RequestError(field="messages", value=source, reason="must be a list of messages")
    items = cast("Sequence[object]", source)
    if not items:
        raise RequestError(field="messages", value=items, reason="must hold at least one message")
    return tuple(_message(item, f"messages[{index}]") for index, item in enumerate(items))


def _message(item: object, field: str) -> Message:
    if isinstance(item, Message):
        given: dict[object, object] = {"role": item.role, "content": item.content}
    elif isinstance(item, Mapping):
        given = dict(cast("Mapping[object, object]", item))
    else:
        raise RequestError(field=field, value=item, reason="must be a message or a dict")
    for key in given:
        if key not in ("role", "content"):
            raise RequestError(
                field=field, value=key, reason="is no key of a message; there are role and content"
            )
    role = next((known for known in get_args(Role) if known == given.get("role")), None)
    if role is None:
        known = ", ".join(get_args(Role))
        raise RequestError(field=f"{field}.role", value=given.get("role"), reason=f"must be one of {known}")
    content = given.get("content")
    if not isinstance(content, str):
        raise RequestError(field=f"{field}.content", value=content, reason="must be a string")
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            field=f"{field}.content", value=content, reason="holds half a surrogate pair"
        ) from error
    return Message(role=role, content=content)


def local_now() -> datetime:
    """Tell the time as the machine's clock shows it."""
    return datetime.now(tz=UTC).astimezone()


class ChatTemplate:
    """A model's chat template, compiled once.

    Rendering changes nothing in the object, so any thread may render at any time. It is bounded in loop
    rounds and in output, but not to the millisecond: a caller with an event loop renders in a worker
    thread.
    """

    def __init__(
        self,
        source: str | None,
        *,
        bos: str = "",
        eos: str = "",
        now: Callable[[], datetime] = local_now,
    ) -> None:
        """Compile a template.

        Args:
            source: The template as the model file gives it; ``None`` where it gives none.
            bos: Text of the token that begins a prompt; templates write it themselves.
            eos: Text of the token that ends a reply.
            now: The clock that ``strftime_now`` reads.

        Raises:
            ChatTemplateError: There is no template, or it is not valid Jinja.
        """
        if source is None or not source.strip():
            raise ChatTemplateError(
                reason="the model file brings none, and guessing one would give bad answers"
            )
        if len(source) > _MAX_SOURCE_CHARS:
            raise ChatTemplateError(reason=f"it has {len(source)} characters, more than any template")
        self._variables = {"bos_token": bos, "eos_token": eos, "tools": None, "documents": None}
        # Imported here: a compiler of templates, and not every program chats.
        from actorllama.engine.chat_code import ChatCode

        self._code = ChatCode(source, now=now)

    def render(
        self,
        messages: Iterable[Message | Mapping[str, object]],
        *,
        add_generation_prompt: bool = True,
        variables: Mapping[str, object] | None = None,
    ) -> str:
        """Write the prompt for a conversation.

        Args:
            messages: What was said, oldest first.
            add_generation_prompt: End with what begins the assistant's reply.
            variables: Switches that this template knows, such as ``enable_thinking``.

        Returns:
            The prompt, special tokens included: tokenise it without adding any, and with special tokens
            parsed.

        Raises:
            RequestError: A message is not one.
            ChatTemplateError: The template refused the messages, failed, or put out more than a prompt can
                be.
        """
        checked = messages_from(list(messages))
        given = {
            **self._variables,
            **(variables or {}),
            "messages": [{"role": message.role, "content": message.content} for message in checked],
            "add_generation_prompt": add_generation_prompt,
        }
        return self._code.run(given)
