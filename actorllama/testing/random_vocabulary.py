"""A byte-level vocabulary that is made, not trained: any text goes through it and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, product
from string import ascii_lowercase, printable
from typing import Final

from attrs import frozen

__all__ = ["CHATML_TEMPLATE", "RandomVocabulary", "byte_level_vocabulary"]

N_BYTES: Final = 256
SPECIALS: Final = ("<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>")

CHATML_TEMPLATE: Final = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_NORMAL: Final = 1
_CONTROL: Final = 3


@frozen(kw_only=True)
class RandomVocabulary:
    """What the ``tokenizer.ggml.*`` keys of a GGUF say, for a GPT-2 style tokeniser.

    Token ``b`` is the byte ``b`` for ``b < 256``; the four special tokens follow, then merges. So a test can
    read token ids as text without a table.
    """

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    bos: int = N_BYTES
    eos: int = N_BYTES + 1
    eot: int = N_BYTES + 3

    @property
    def token_types(self) -> tuple[int, ...]:
        """Give llama.cpp's type for each token: control for the special ones, normal for the rest."""
        after_specials = N_BYTES + len(SPECIALS)
        return tuple(_CONTROL if N_BYTES <= i < after_specials else _NORMAL for i in range(len(self.tokens)))


def byte_level_vocabulary(n_tokens: int) -> RandomVocabulary:
    """Make a vocabulary of exactly this size.

    Args:
        n_tokens: At least 260 (the bytes and the special tokens), at most some 400,000.

    Raises:
        ValueError: No vocabulary of this size can be made.
    """
    smallest = N_BYTES + len(SPECIALS)
    if n_tokens < smallest:
        raise ValueError(f"n_tokens must be at least {smallest}: {n_tokens}")
    letters = _byte_letters()
    pairs = list(islice(_merges(letters), n_tokens - smallest))
    if len(pairs) < n_tokens - smallest:
        raise ValueError(f"n_tokens must be at most {smallest + len(pairs)}: {n_tokens}")
    merged = (left + right for left, right in pairs)
    return RandomVocabulary(
        tokens=(*letters, *SPECIALS, *merged),
        merges=tuple(f"{left} {right}" for left, right in pairs),
    )


def _merges(letters: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Give merges whose parts exist before they are merged: printable pairs, then longer runs of a to z."""
    shown = [letters[ord(character)] for character in printable if character not in "\t\r\x0b\x0c"]
    two = [a + b for a, b in product(ascii_lowercase, repeat=2)]
    return chain(product(shown, shown), product(two, ascii_lowercase), product(two, two))


def _byte_letters() -> tuple[str, ...]:
    """Give the printable letter that GPT-2's tokeniser writes for each byte.

    Source: openai/gpt-2 `src/encoder.py`, `bytes_to_unicode`.
    """
    own = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in own else chr(next(others)) for byte in range(N_BYTES))
