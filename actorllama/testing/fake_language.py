"""The tiny language model behind the fake backend: pure functions of what a sequence really holds."""

from __future__ import annotations

import hashlib
from array import array
from hashlib import blake2b
from typing import Final

from attrs import frozen

from actorllama.errors import RequestError
from actorllama.native import ModelFacts

__all__ = ["BOS", "END", "END_OF_TURN", "N_VOCAB", "FakeLanguage"]

BOS: Final = 256
"""Begins a prompt; adds nothing to the text."""
END: Final = 257
"""Ends a generation."""
END_OF_TURN: Final = 258
"""Ends a generation too: models may have several such tokens."""

_CONTROL: Final = {"<s>": BOS, "</s>": END, "<eot>": END_OF_TURN}
# Characters in two halves, so that text is cut inside them, and a few whole words.
_PIECES: Final = (
    *(b"\xe2\x82", b"\xac", b"\xf0\x9f\xa6", b"\x99", b"\xc3", b"\xb6"),
    *(b" the", b" llama", b"STOP", b"\n\n", b" and", b"aba"),
)
_FIRST_PIECE: Final = END_OF_TURN + 1
N_VOCAB: Final = _FIRST_PIECE + len(_PIECES)
_SECOND_HALF: Final = {_FIRST_PIECE + i: _FIRST_PIECE + i + 1 for i in (0, 2, 4)}
_LIKELY: Final = (*b"etaoin shrdlu.,ab", *(_FIRST_PIECE + i for i in (0, 2, 4, 6, 7, 8, 9, 10, 11)))
_N_CANDIDATES: Final = 8
_UNLIKELY: Final = -24.0


@frozen(kw_only=True)
class FakeLanguage:
    """What comes next, as a function of the cells that were computed.

    Every position and token of the sequence shapes every later logit: a wrong position, a cell left over
    from another turn or a missing token changes the text.
    """

    seed: int = 0
    """Another seed is another model."""
    end_one_in: int = 48
    """The model wants to end its reply once in so many tokens; 0 is never."""
    chat_template: str | None = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )

    def facts(self, path: str) -> ModelFacts:
        """Describe the model as a weights file would."""
        return ModelFacts(
            path=path,
            description="fake language model",
            architecture="fake",
            name="fake",
            n_vocab=N_VOCAB,
            n_ctx_train=4096,
            n_embd=8,
            n_layer=1,
            n_swa=0,
            n_params=1,
            weights_bytes=1,
            is_recurrent=False,
            is_hybrid=False,
            bos=BOS,
            eos=END,
            bos_text="<s>",
            eos_text="</s>",
            chat_template=self.chat_template,
            fingerprint=blake2b(repr(self).encode(), digest_size=16).hexdigest(),
        )

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Cut text into its bytes; control tokens are read where they are asked for.

        Raises:
            RequestError: The text holds half a surrogate pair.
        """
        tokens = [BOS] if add_special else []
        while parse_special and text:
            at, spelled = min(
                ((text.find(word), word) for word in _CONTROL if word in text), default=(-1, "")
            )
            if at < 0:
                break
            tokens += [*_encoded(text[:at]), _CONTROL[spelled]]
            text = text[at + len(spelled) :]
        return [*tokens, *_encoded(text)]

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token adds to the text.

        Raises:
            RequestError: There is no such token.
        """
        if not 0 <= token < N_VOCAB:
            raise RequestError(field="token", value=token, reason=f"token ids are 0 to {N_VOCAB - 1}")
        if token < BOS:
            return bytes((token,))
        return _PIECES[token - _FIRST_PIECE] if token >= _FIRST_PIECE else b""

    def logits(self, cells: array[int]) -> list[float]:
        """Compute the logits after the last cell, shape ``(n_vocab,)``.

        Args:
            cells: Position and token of each cell in turn, shape ``(2 * n_cells,)``, int64.

        Cost: linear in the cells; 20 µs for a few hundred.
        """
        key = self.seed.to_bytes(8, "little")
        draws = hashlib.blake2b(cells, digest_size=2 * _N_CANDIDATES + 4, key=key).digest()
        row = [_UNLIKELY] * N_VOCAB
        for index in range(_N_CANDIDATES):
            token = _LIKELY[draws[2 * index] % len(_LIKELY)]
            row[token] = max(row[token], draws[2 * index + 1] / 64)
        second_half = _SECOND_HALF.get(cells[-1])
        if second_half is not None and draws[-1] % 8:
            row[second_half] = 8.0
        if self.end_one_in and int.from_bytes(draws[-4:-1], "little") % self.end_one_in == 0:
            row[END if draws[-1] % 2 else END_OF_TURN] = 6.0
        return row


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(field="prompt", value=text, reason="holds a lone surrogate") from error
