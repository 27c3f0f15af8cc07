"""Take a turn of the current conversation, show it, and keep whatever was said."""

from __future__ import annotations

from actorllama.cli.console.desk import Desk
from actorllama.cli.console.settings import MAX_TOKENS, SETTINGS, sampling_of
from actorllama.cli.console.talk import Exchange, Talk
from actorllama.cli.failures import describe
from actorllama.engine import TurnResult
from actorllama.errors import ActorLlamaError, ConversationChanged
from actorllama.runtime import SamplingOptions

__all__ = ["take_turn"]


async def take_turn(desk: Desk, talk: Talk, text: str, *, seed: int | None = None) -> None:
    """Say something, in the place of what ``talk`` says comes before.

    The message is on disk before the reply begins, and the reply before the next line is read. A reply that
    Ctrl-C or an error cuts is kept as far as it was shown; one that never began leaves nothing.

    Args:
        desk: The console's.
        talk: The current conversation, or an earlier state of it.
        text: The message.
        seed: Another seed than that of the settings.

    Raises:
        ActorLlamaError: The turn failed; what was said is kept.
    """
    model = await desk.answering()
    sampling: SamplingOptions = {**sampling_of(talk.settings)}
    if seed is not None:
        sampling["seed"] = seed
    chat = model.conversation(
        talk.system or None,
        messages=talk.messages,
        resume_key=talk.resume_key,
        name=talk.name,
        **sampling,
    )
    await _keep(desk, talk.asking(text))
    talk = desk.talk  # under the name that it has by now
    said: list[str] = []
    result: TurnResult | None = None
    failure: ActorLlamaError | None = None
    with desk.front.reply() as feed, desk.interrupts.stopping():
        try:
            n_most = int(talk.settings.get(MAX_TOKENS, SETTINGS[MAX_TOKENS]))
            async with chat.stream_say(text, max_tokens=n_most) as turn:
                async for piece in turn:
                    said.append(piece.text)
                    feed(piece.text)
                result = turn.result
        except ActorLlamaError as error:
            failure = error
    desk.last = result or desk.last
    await _keep(desk, _after(talk, text, said, result, sampling.get("seed", 0)))
    if failure is not None:
        raise failure


async def _keep(desk: Desk, talk: Talk) -> None:
    """Keep a conversation; a full disk, or another console that was faster, is no reason not to talk."""
    was_saved = desk.talk.is_saved
    try:
        await desk.keep(talk)
    except ConversationChanged as error:
        if was_saved:  # it was told; what is said from here on is not on disk, as the status says
            desk.complain(error)
    except OSError as error:
        desk.front.note(f"(this conversation is not on disk: {describe(error)})")


def _after(talk: Talk, text: str, said: list[str], result: TurnResult | None, seed: int) -> Talk:
    if result is not None:
        exchange = Exchange(user=text, reply=result.text, seed=result.seed, resume_key=result.resume_key)
        return talk.answered(exchange)
    if said:
        return talk.answered(Exchange(user=text, reply="".join(said), seed=seed, is_cut=True))
    return talk.unanswered()
