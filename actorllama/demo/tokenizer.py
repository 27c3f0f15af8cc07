"""Byte-level BPE in the GPT-2 manner, trained by the `tokenizers` package.

llama.cpp must cut text exactly as training did. ``tokenizer.ggml.pre = "gpt-2"`` names the regular expression
that `tokenizers` uses for ``ByteLevel(use_regex=True)``; the pair was compared over the training text.
"""

# tokenizers comes with an extra only, so a checker that lacks it knows no type from there.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false

import json
from collections.abc import Iterable, Sequence

from attrs import field, frozen
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from actorllama.demo.corpus import Piece

__all__ = ["CHAT_TEMPLATE", "CONTROL_TOKENS", "END_OF_TEXT", "END_OF_TURN", "ChatCodec", "train_tokenizer"]

END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
CONTROL_TOKENS: tuple[str, ...] = (END_OF_TEXT, START_OF_TURN, END_OF_TURN)

# Plain ChatML: also what llama.cpp's built-in renderer produces when it recognises this text, so that both
# ways to render a chat agree to the byte.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str], *, n_vocab: int) -> Tokenizer:
    """Learn merges from these texts; all 256 bytes are tokens whatever the texts hold."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def vocabulary_of(tokenizer: Tokenizer) -> tuple[str, ...]:
    """List the tokens by id, in the printable spelling of GPT-2."""
    by_text = tokenizer.get_vocab()
    return tuple(sorted(by_text, key=by_text.__getitem__))


def merges_of(tokenizer: Tokenizer) -> tuple[str, ...]:
    """List the merges by rank, as ``"left right"``."""
    return tuple(" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"])


@frozen(kw_only=True)
class ChatCodec:
    """Turns messages into token ids as the chat template does, and remembers texts that it has seen.

    Owner: one training run; the memory of texts is not meant to be shared.
    """

    tokenizer: Tokenizer
    _seen: dict[str, tuple[int, ...]] = field(factory=dict, init=False, repr=False)

    def encode(self, text: str) -> tuple[int, ...]:
        """Encode text; control tokens in it are recognised."""
        ids = self._seen.get(text)
        if ids is None:
            ids = self._seen[text] = tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)
        return ids

    def encode_message(self, piece: Piece) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """Encode one rendered message and mark what the model must learn to say.

        Header and content are encoded apart, which is the same as together because the pre-tokeniser always
        cuts between a newline and a letter or digit.

        Returns:
            Ids, and for each whether it is part of an assistant's answer (its end mark included).
        """
        head = self.encode(f"{START_OF_TURN}{piece.role}\n")
        body = self.encode(piece.content + END_OF_TURN)
        tail = self.encode("\n")
        is_answer = piece.role == "assistant"
        return head + body + tail, (False,) * len(head) + (is_answer,) * len(body) + (False,) * len(tail)

    def encode_prompt(self, pieces: Sequence[Piece]) -> tuple[int, ...]:
        """Encode a conversation up to where the assistant is to speak."""
        ids: tuple[int, ...] = ()
        for piece in pieces:
            ids += self.encode_message(piece)[0]
        return ids + self.encode(f"{START_OF_TURN}assistant\n")
