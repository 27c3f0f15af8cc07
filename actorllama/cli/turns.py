"""Take turns side by side; what each said is kept, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from attrs import evolve, frozen

from actorllama.cli.interrupts import Interrupts
from actorllama.cli.parameters import Asking
from actorllama.engine import TextPiece, TurnResult
from actorllama.errors import ActorLlamaError
from actorllama.runtime import Model

__all__ = ["Chat", "Outcome", "Prompt", "take_turn", "take_turns"]

Chat = Sequence[dict[str, str]]
"""Messages with ``role`` and ``content``, oldest first."""
Prompt = str | Chat
"""A text to continue, or a chat to answer."""


@frozen(kw_only=True)
class Outcome:
    """How a turn ended. Without a result and without an error, a signal stopped it."""

    text: str
    """All that was said."""
    n_generated: int = 0
    """Tokens that it took."""
    result: TurnResult | None = None
    error: ActorLlamaError | None = None


async def take_turns(
    model: Model,
    prompts: Sequence[Prompt],
    asking: Asking,
    *,
    n_at_once: int,
    on_text: Callable[[int, str], None],
    interrupts: Interrupts,
) -> tuple[Outcome, ...]:
    """Take a turn for each prompt.

    Args:
        model: Who answers.
        prompts: What to answer.
        asking: The same for all.
        n_at_once: Turns handed to the model at once; more wait here, so that its queue never overflows.
        on_text: Gets the index of a prompt and text as it comes.
        interrupts: A signal stops all turns.

    Returns:
        One outcome per prompt, in their order.
    """
    said: list[list[TextPiece]] = [[] for _ in prompts]
    ended: dict[int, Outcome] = {}
    places = trio.CapacityLimiter(n_at_once)

    async def take(index: int) -> None:
        def keep(piece: TextPiece) -> None:
            said[index].append(piece)
            on_text(index, piece.text)

        async with places:
            ended[index] = await take_turn(model, prompts[index], asking, on_piece=keep)

    with interrupts.stopping():
        async with trio.open_nursery() as nursery:
            for index in range(len(prompts)):
                nursery.start_soon(take, index)
    return tuple(ended.get(index) or _cut_short(said[index]) for index in range(len(prompts)))


async def take_turn(
    model: Model, prompt: Prompt, asking: Asking, *, on_piece: Callable[[TextPiece], None]
) -> Outcome:
    """Take one turn; an error that the library means to tell is a part of the outcome."""
    sampling = asking.sampling
    said: list[TextPiece] = []
    try:
        async with model.stream(
            prompt if isinstance(prompt, str) else None,
            messages=None if isinstance(prompt, str) else prompt,
            max_tokens=asking.max_tokens,
            stop=asking.stop,
            timeout_s=asking.timeout_s,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            seed=sampling.seed,
        ) as turn:
            async for piece in turn:
                said.append(piece)
                on_piece(piece)
        result = turn.result
        return Outcome(text=result.text, n_generated=result.usage.n_generated, result=result)
    except ActorLlamaError as error:
        return evolve(_cut_short(said), error=error)


def _cut_short(said: Sequence[TextPiece]) -> Outcome:
    return Outcome(text="".join(p.text for p in said), n_generated=sum(p.n_tokens for p in said))
