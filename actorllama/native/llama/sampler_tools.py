"""What the samplers of one context share: working memory and tables over the vocabulary."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actorllama.native.grammar import GrammarRequest, compile_gbnf
from actorllama.native.llama.binding import llama_cpp
from actorllama.native.llama.crowd_choice import CrowdChooser
from actorllama.native.llama.sampler_candidates import Candidates
from actorllama.native.sampler_dry import MAX_BREAKER_TAIL, Breakers

if TYPE_CHECKING:  # loaded with the first grammar
    from actorllama.native.grammar_mask import GrammarMask, TokenTexts
    from actorllama.native.grammar_turn import GrammarTurn

__all__ = ["SamplerTools"]

_MAX_BREAKER_SETS = 8
_MAX_GRAMMARS = 8


class SamplerTools:
    """Candidates' buffer, sequence breakers, grammars with their tables, token texts.

    Owner: one context, on its own thread. What costs a pass over the vocabulary (some 50 ms at 32k)
    is made when first asked for and kept.
    """

    def __init__(self, *, n_vocab: int, vocab: int | None = None, texts: TokenTexts | None = None) -> None:
        """Serve a vocabulary: a ``llama_vocab``, or the texts of its tokens."""
        self.n_vocab = n_vocab
        self.candidates = Candidates()
        self.crowd = CrowdChooser(n_vocab=n_vocab)
        self._vocab = vocab
        self._texts = texts
        self._breakers: dict[tuple[str, ...], Breakers] = {}
        self._masks: OrderedDict[str, GrammarMask] = OrderedDict()

    @property
    def texts(self) -> TokenTexts:
        """The bytes of every token and the tokens that end a generation."""
        if self._texts is None:
            from actorllama.native.grammar_mask import TokenTexts

            vocab, tokens = self._vocab, range(self.n_vocab)
            ends = [t for t in tokens if vocab is not None and llama_cpp.llama_vocab_is_eog(vocab, t)]
            self._texts = TokenTexts([self._piece(token) for token in tokens], ends)
        return self._texts

    def grammar_turn(self, request: GrammarRequest) -> GrammarTurn | None:
        """Return the request's grammar before its first token; ``None`` if it has none.

        Raises:
            RequestError: Nothing that ``request.check`` accepts.
        """
        found = request.gbnf()
        if found is None:
            return None
        from actorllama.native.grammar_machine import GrammarMachine
        from actorllama.native.grammar_mask import GrammarMask
        from actorllama.native.grammar_trigger import GrammarTrigger
        from actorllama.native.grammar_turn import GrammarTurn

        text, source = found
        mask = self._masks.get(text)
        if mask is None:
            mask = GrammarMask(GrammarMachine(compile_gbnf(text, source)), self.texts)
            self._masks[text] = mask
            if len(self._masks) > _MAX_GRAMMARS:
                self._masks.popitem(last=False)
        self._masks.move_to_end(text)
        trigger = None
        if request.is_lazy:
            machines = [GrammarMachine(program) for program in request.trigger_programs()]
            trigger = GrammarTrigger(machines, frozenset(request.trigger_tokens))
        return GrammarTurn(mask, trigger)

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

    def _piece(self, token: int) -> bytes:
        if self._vocab is None:
            return b""
        special = False  # control tokens are not text
        buffer = ctypes.create_string_buffer(256)
        n = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
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
