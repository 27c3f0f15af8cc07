"""What the samplers of one context share: working memory and tables over the vocabulary."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp

from actorllama.native.llama.sampler_candidates import Candidates
from actorllama.native.sampler_dry import MAX_BREAKER_TAIL, Breakers

__all__ = ["SamplerTools"]

_MAX_BREAKER_SETS = 8


class SamplerTools:
    """Candidates' buffer, sequence breakers, token texts.

    Owner: one context, on its own thread. What costs a pass over the vocabulary (some 50 ms at 32k)
    is made when first asked for and kept.
    """

    def __init__(self, *, n_vocab: int, vocab: int | None = None) -> None:
        """Serve a vocabulary; without ``vocab`` (a ``llama_vocab``) there are no token texts."""
        self.n_vocab = n_vocab
        self.candidates = Candidates()
        self._vocab = vocab
        self._breakers: dict[tuple[str, ...], Breakers] = {}

    def breakers(self, texts: tuple[str, ...]) -> Breakers:
        """Return how these texts can begin in a token and go on in the next ones.

        Source: ``get_overlapping_token_sequences`` in llama.cpp's src/llama-sampler.cpp.
        """
        known = self._breakers.get(texts)
        if known is None:
            if len(self._breakers) >= _MAX_BREAKER_SETS:
                self._breakers.pop(next(iter(self._breakers)))
            known = self._breakers[texts] = self._find_breakers([text.encode() for text in texts])
        return known

    def _find_breakers(self, texts: Sequence[bytes]) -> Breakers:
        if self._vocab is None:
            return {}
        words = [self._word(token) for token in range(self.n_vocab)]
        found: dict[int, list[tuple[int, ...]]] = {}
        for text in texts:
            for token, word in enumerate(words):
                if text in word:
                    found.setdefault(token, []).append(())
                    continue
                for overlap in _overlaps(word, text):
                    tail = tuple(self._tokenize(text[overlap:])[:MAX_BREAKER_TAIL])
                    tails = found.setdefault(token, [])
                    if tail not in tails:
                        tails.append(tail)
        return {token: tuple(tails) for token, tails in found.items() if tails}

    def _word(self, token: int) -> bytes:
        one = (ctypes.c_int32 * 1)(token)
        buffer = ctypes.create_string_buffer(256)
        remove_special, unparse_special = False, True
        flags = (remove_special, unparse_special)
        n = llama_cpp.llama_detokenize(self._vocab, one, 1, buffer, len(buffer), *flags)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = llama_cpp.llama_detokenize(self._vocab, one, 1, buffer, len(buffer), *flags)
        return buffer.raw[: max(n, 0)]

    def _tokenize(self, text: bytes) -> list[int]:
        room = len(text) + 8
        tokens = (ctypes.c_int32 * room)()
        add_special = parse_special = False
        n = llama_cpp.llama_tokenize(self._vocab, text, len(text), tokens, room, add_special, parse_special)
        return tokens[: max(n, 0)]


def _overlaps(word: bytes, text: bytes) -> list[int]:
    """Return the lengths of the beginnings of ``text`` that ``word`` ends with, leftmost first."""
    longest = min(len(word), len(text) - 1)
    return [n for n in range(longest, 0, -1) if word.endswith(text[:n])]
