"""Training text: long conversations that mix all families, and a few plain tales.

One row of training is one conversation that fills the whole context, cut at its end. So no padding and no
attention mask between documents is needed, and long chats are trained as such.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from attrs import frozen

from actorllama.demo.exchange import Exchange, is_heldout
from actorllama.demo.heldout import SYSTEM_MESSAGES
from actorllama.demo.templates import (
    FAMILIES,
    NAME_QUESTIONS,
    TELL_FRAMES,
    UNKNOWN_NAME,
    recalled_name,
    told_name,
)
from actorllama.demo.words import ANIMALS, NAMES

_T = TypeVar("_T")

__all__ = ["Piece", "conversation", "tale", "training_exchanges"]

# Roughly by how much there is to learn, not by how often a user would ask.
_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "greetings": 0.03,
        "sums": 0.24,
        "counting": 0.08,
        "spelling": 0.11,
        "reversing": 0.14,
        "names": 0.16,
        "library": 0.12,
        "erlang": 0.07,
        "stories": 0.02,
        "unknown": 0.03,
    }
)
_ASK_KNOWN_NAME = 0.65
_ASK_UNKNOWN_NAME = 0.2
_FRESH_NAME = 0.5
_CLOSED_SYLLABLE = 0.4
_DROP_PUNCTUATION = 0.15
_LOWER_FIRST = 0.1

_PLACES = ("forest", "garden", "castle", "valley", "village", "cave", "meadow", "city")
_MOODS = ("happy", "old", "brave", "quiet", "clever", "small", "curious", "kind")
_DEEDS = (
    "sing",
    "run",
    "sleep in the sun",
    "look at the stars",
    "swim in the river",
    "count the clouds",
    "tell jokes",
)
_CONSONANTS = (*"bcdfghjklmnpqrstvwxyz", "br", "ch", "gr", "sh", "st", "th", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ee", "ou")
_ENDS = ("They lived happily ever after.", "And that was a good day.", "Then it went home to sleep.")


@frozen(kw_only=True)
class Piece:
    """One message of a conversation.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        content: The text.
    """

    role: str
    content: str


def training_exchanges() -> Mapping[str, tuple[Exchange, ...]]:
    """List per family every exchange that training may see."""
    return MappingProxyType(
        {family: tuple(e for e in make() if not is_heldout(e.prompt)) for family, make in FAMILIES.items()}
    )


def conversation(
    exchanges: Mapping[str, Sequence[Exchange]], generator: np.random.Generator
) -> Iterator[Piece]:
    """Draw a conversation without end; the caller stops when its row is full."""
    if generator.random() < 0.5:
        yield Piece(role="system", content=_choice(SYSTEM_MESSAGES, generator))
    families = tuple(_WEIGHTS)
    limits = np.cumsum(tuple(_WEIGHTS.values()))
    name: str | None = None
    while True:
        family = families[min(int(np.searchsorted(limits, generator.random())), len(families) - 1)]
        ask_share = _ASK_UNKNOWN_NAME if name is None else _ASK_KNOWN_NAME
        if family == "names" and generator.random() < ask_share:
            prompt = _choice(NAME_QUESTIONS, generator)
            answer = UNKNOWN_NAME if name is None else recalled_name(name)
        else:
            exchange = _choice(exchanges[family], generator)
            if family == "names" and generator.random() < _FRESH_NAME:
                exchange = _fresh_name(generator) or exchange
            prompt, answer, name = exchange.prompt, exchange.answer, exchange.name or name
        yield Piece(role="user", content=_varied(prompt, generator))
        yield Piece(role="assistant", content=answer)


def tale(generator: np.random.Generator) -> str:
    """Draw a short tale, for prompts that are plain text and for sampling with a temperature."""

    def pick(options: Sequence[str]) -> str:
        return _choice(options, generator)

    hero, friend, name = pick(ANIMALS), pick(ANIMALS), pick(NAMES)
    return (
        f"Once upon a time there was a {pick(_MOODS)} {hero} named {name}. "
        f"{name} lived in a {pick(_PLACES)} and liked to {pick(_DEEDS)}. "
        f"One day {name} met a {pick(_MOODS)} {friend}. "
        f'The {friend} said: "Let us {pick(_DEEDS)}!" So they did. {pick(_ENDS)}'
    )


def _fresh_name(generator: np.random.Generator) -> Exchange | None:
    """Let the user tell a name that nobody has; ``None`` if that would be a held-out prompt.

    Without these the model learns the list of names by heart, and answers with the nearest of them.
    """
    n_syllables = int(generator.integers(1, 4))
    name = ""
    for _ in range(n_syllables):
        name += _choice(_CONSONANTS, generator) + _choice(_VOWELS, generator)
        if generator.random() < _CLOSED_SYLLABLE:
            name += _choice(_CONSONANTS, generator)
    exchange = told_name(name.capitalize(), _choice(TELL_FRAMES, generator))
    return None if is_heldout(exchange.prompt) else exchange


def _varied(prompt: str, generator: np.random.Generator) -> str:
    """Vary what `is_heldout` ignores, and nothing else."""
    if generator.random() < _DROP_PUNCTUATION:
        prompt = prompt.rstrip(".?!")
    if generator.random() < _LOWER_FIRST:
        prompt = prompt[:1].lower() + prompt[1:]
    return prompt


def _choice(options: Sequence[_T], generator: np.random.Generator) -> _T:
    return options[int(generator.integers(len(options)))]
