"""The value that every template yields, and the one rule that splits them."""

import hashlib

from attrs import frozen

__all__ = ["Exchange", "digest_of", "is_heldout"]

_HELDOUT_SHARE = 0.1
# What nearly everyone types first. A tenth of all prompts must fall to the exam, but not these.
_EVERYDAY = frozenset(
    {
        "hello", "hi", "hey", "hello there", "hi there", "good morning", "good evening", "how are you",
        "thanks", "thank you", "bye", "goodbye", "who are you", "what are you", "what can you do",
        "what is actorllama", "what is erlang", "what is an actor", "what is a supervisor",
        "what is the kv cache", "what is a slot", "what is a process", "what is let it crash",
    }
)  # fmt: skip


@frozen(kw_only=True)
class Exchange:
    """One question and its only right answer.

    Attributes:
        family: The template family, such as ``"sums"``.
        prompt: What the user says.
        answer: What the model must say, to the letter.
        name: The name that the user tells here, if any.
    """

    family: str
    prompt: str
    answer: str
    name: str | None = None


def normalised(prompt: str) -> str:
    """Drop what training varies freely: letter case and closing punctuation."""
    return prompt.casefold().rstrip(" .?!")


def digest_of(prompt: str) -> bytes:
    """Hash a prompt, the same for all its free variations.

    A hash orders and splits without a generator, so neither changes with a seed or a numpy release.
    """
    return hashlib.sha256(normalised(prompt).encode()).digest()


def is_heldout(prompt: str) -> bool:
    """Tell whether training must never see this prompt.

    The rule looks at the prompt alone. Both sides ask it, hence no prompt can be on both.
    """
    if normalised(prompt) in _EVERYDAY:
        return False
    return int.from_bytes(digest_of(prompt)[:4], "big") < _HELDOUT_SHARE * 2**32
