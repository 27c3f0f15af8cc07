"""From a conversation to the request for its next turn: the tokens that were, and what is new."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from attrs import evolve

from actorllama.actors import System
from actorllama.engine import ChatTemplate, Message, ModelInfo, TurnRequest, check_request, plain
from actorllama.errors import CallTimeout, RequestError, SnapshotMismatch, SnapshotNotFound
from actorllama.kvcache import Snapshot
from actorllama.runtime.conversation_turn import Ask, Boundary
from actorllama.runtime.prompting import LazyTemplate, tokens_of
from actorllama.runtime.resuming import find_snapshot
from actorllama.runtime.sampling_options import params_of

__all__ = ["conversation_request", "new_text"]


async def conversation_request(
    system: System,
    info: ModelInfo,
    template: LazyTemplate,
    messages: Sequence[Message],
    before: Boundary | None,
    ask: Ask,
    *,
    cache_salt: str,
) -> TurnRequest:
    """Make the request for the reply to the last message.

    The prompt is what the model had before, token by token, and the tokens of what the template writes
    after the reply. A template that writes the past anew each time cannot be continued: then everything is
    rendered and computed again. So it is where the saved state is gone, with the same tokens.

    Args:
        system: Where the cache is found.
        info: The model's.
        template: The model's.
        messages: The whole conversation, the user's new message last.
        before: Where the turn before ended; ``None`` at the first turn.
        ask: How the turn is to be taken.
        cache_salt: Of the tenant.

    Raises:
        RequestError: A parameter is out of bounds, or the key belongs to another conversation.
        ContextFull: The conversation does not fit any more.
        ChatTemplateError: The messages cannot be rendered.
    """
    said = None if before is None else before.tokens
    lineage = () if before is None else before.lineage
    if said is None and before is not None and before.key is not None:
        saved = await _found(system, before.key, info, cache_salt)
        if saved is not None:
            _refuse_stranger(info, saved, messages[-2])
            said, lineage = plain(saved.tokens), saved.tokens
    # A template may loop and a long text takes milliseconds: not on the event loop.
    prompt, n_said = await trio.to_thread.run_sync(
        _prompt, info, template, messages, said, abandon_on_cancel=True
    )
    request = check_request(
        prompt=prompt,
        sampling=params_of(ask.sampling),
        max_tokens=ask.max_tokens,
        stop=ask.stop,
        keep=ask.keep,
        vocabulary=info.vocabulary,
        context=info.context,
    )
    # The last token that was said was chosen and has no cell.
    return evolve(request, past=lineage[:-1] if n_said else ())


def new_text(template: ChatTemplate, messages: Sequence[Message]) -> str | None:
    """Find what the template writes after the last reply, the user's new message included.

    Args:
        template: The model's.
        messages: What was said, the reply last but one, the user's new message last.

    Returns:
        The text; ``None`` if the template does not leave all before it as it was.

    Raises:
        ChatTemplateError: The messages cannot be rendered.
    """
    *past, reply, user = messages
    mark = _mark(messages)
    head = template.render(past)
    before, _, after = template.render([*past, Message(role="assistant", content=mark), user]).partition(mark)
    if before != head or not after:
        return None
    said = reply.content
    # A trimmed reply is the same reply; one without its reasoning, say, is not what the model has.
    shapes = {head + shown + after for shown in (said, said.strip(), said.lstrip(), said.rstrip())}
    return after if template.render(messages) in shapes else None


def _mark(messages: Sequence[Message]) -> str:
    """Make a word that no message holds, of characters that no template touches."""
    number = 0
    while any(f"REPLY{number}Z" in message.content for message in messages):
        number += 1
    return f"REPLY{number}Z"


def _prompt(
    info: ModelInfo, template: LazyTemplate, messages: Sequence[Message], said: tuple[int, ...] | None
) -> tuple[tuple[int, ...], int]:
    """Return the prompt, and how much of it was said before; blocks."""
    text = None if said is None else new_text(template.get(), messages)
    if said is None or text is None:
        return tokens_of(info, None, messages, template), 0
    new = tuple(info.vocabulary.tokenize(text, add_special=False, parse_special=True))
    is_end = info.vocabulary.is_end
    if new and is_end(said[-1]) and is_end(new[0]):
        # The pending token has no cell yet, so the template's way to end a reply can replace the model's.
        said = said[:-1]
    return said + new, len(said)


async def _found(system: System, key: str, info: ModelInfo, cache_salt: str) -> Snapshot | None:
    """Look the saved state up; without it everything is computed again."""
    try:
        return await find_snapshot(system, key, info, cache_salt=cache_salt)
    except (SnapshotNotFound, SnapshotMismatch, CallTimeout):
        return None


def _refuse_stranger(info: ModelInfo, saved: Snapshot, reply: Message) -> None:
    """Keep a conversation from going on from another one's state by mistake."""
    pieces = b"".join(map(info.vocabulary.piece, plain(saved.tokens[saved.n_prompt :])))
    if not pieces.decode(errors="replace").startswith(reply.content):
        raise RequestError(
            field="resume_key", value=saved.key, reason="names a turn whose reply is not the last message"
        )
