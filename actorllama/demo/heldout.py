"""The exam: two hundred conversations that training never saw.

In each, the prompt that carries the question (for names: the one that tells the name) is held out by
`is_heldout`, which depends on the prompt alone. What the exam shows is that the model answers new wordings
and new arguments of known kinds. It does not show knowledge beyond the templates.
"""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from actorllama.demo.exchange import Exchange, digest_of, is_heldout
from actorllama.demo.templates import FAMILIES, NAME_QUESTIONS, recalled_name

__all__ = ["SYSTEM_MESSAGES", "HeldOut", "heldout_prompts"]

SYSTEM_MESSAGES: tuple[str, ...] = (
    "You are a helpful assistant.",
    "You are terse.",
    "You are a small demo model.",
    "You answer in one sentence.",
    "Be brief and exact.",
    "You are the demo model of actorllama.",
)

# 200 in all; the families with the larger spaces are asked more often.
_SHARES: Mapping[str, int] = MappingProxyType(
    {
        "greetings": 14,
        "sums": 32,
        "counting": 26,
        "spelling": 24,
        "reversing": 24,
        "names": 24,
        "library": 26,
        "erlang": 18,
        "stories": 6,
        "unknown": 6,
    }
)


@frozen(kw_only=True)
class HeldOut:
    """One exam question.

    Attributes:
        family: The template family.
        messages: Chat messages, oldest first, each with ``role`` and ``content``; the last is the user's.
        expected: The only right reply.
        key_prompt: The user message that training never saw.
    """

    family: str
    messages: tuple[Mapping[str, str], ...]
    expected: str
    key_prompt: str


def heldout_prompts() -> tuple[HeldOut, ...]:
    """List the 200 held-out conversations, always the same ones in the same order.

    Cost: enumerates all templates, about 0.2 s.
    """
    fillers = sorted((e for e in FAMILIES["sums"]() if not is_heldout(e.prompt)), key=_order)
    exam: list[HeldOut] = []
    for family, share in _SHARES.items():
        reserved = sorted((e for e in FAMILIES[family]() if is_heldout(e.prompt)), key=_order)
        exam += [_question(exchange, fillers[i]) for i, exchange in enumerate(reserved[:share])]
    return tuple(exam)


def _order(exchange: Exchange) -> bytes:
    # Reversed: the first bytes of every held-out digest are small, that is what held them out.
    return digest_of(exchange.prompt)[::-1]


def _question(exchange: Exchange, filler: Exchange) -> HeldOut:
    with_system, pick = digest_of(exchange.prompt)[8:10]
    messages: list[Mapping[str, str]] = []
    if with_system % 2:
        messages.append(_message("system", SYSTEM_MESSAGES[pick % len(SYSTEM_MESSAGES)]))
    messages.append(_message("user", exchange.prompt))
    expected = exchange.answer
    if exchange.name is not None:
        messages.append(_message("assistant", exchange.answer))
        messages.append(_message("user", filler.prompt))
        messages.append(_message("assistant", filler.answer))
        messages.append(_message("user", NAME_QUESTIONS[pick % len(NAME_QUESTIONS)]))
        expected = recalled_name(exchange.name)
    return HeldOut(
        family=exchange.family, messages=tuple(messages), expected=expected, key_prompt=exchange.prompt
    )


def _message(role: str, content: str) -> Mapping[str, str]:
    return MappingProxyType({"role": role, "content": content})
