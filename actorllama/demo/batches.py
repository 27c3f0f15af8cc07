"""From conversations to rows of token ids with a mask of what is to be learnt."""

# tokenizers comes with an extra only, so a checker that lacks it knows no type from there.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from tokenizers import Tokenizer

from actorllama.demo.corpus import Piece, conversation, tale, training_exchanges
from actorllama.demo.exchange import Exchange
from actorllama.demo.heldout import HeldOut
from actorllama.demo.tokenizer import END_OF_TEXT, END_OF_TURN, ChatCodec, train_tokenizer

__all__ = ["Batch", "draw_batch", "exam_batch", "tokenizer_of_corpus"]

_TALE_SHARE = 0.04
_N_TOKENIZER_CONVERSATIONS = 2000
_N_TOKENIZER_PIECES = 20
_N_TOKENIZER_TALES = 300


@frozen(kw_only=True, eq=False)
class Batch:
    """Rows of ids and the mask of those to learn.

    Attributes:
        tokens: Shape ``(n_rows, n_tokens)``.
        is_target: Same shape; whether the loss counts this token.
    """

    tokens: NDArray[np.int64]
    is_target: NDArray[np.bool_]


def tokenizer_of_corpus(seed: int, *, n_vocab: int) -> Tokenizer:
    """Train the tokenizer on a sample of the training text."""
    generator = np.random.default_rng([seed, 1])
    exchanges = training_exchanges()

    def texts() -> Iterator[str]:
        for _ in range(_N_TOKENIZER_CONVERSATIONS):
            for piece in islice(conversation(exchanges, generator), _N_TOKENIZER_PIECES):
                yield piece.content
        for _ in range(_N_TOKENIZER_TALES):
            yield tale(generator)

    return train_tokenizer(texts(), n_vocab=n_vocab)


def draw_batch(
    codec: ChatCodec,
    exchanges: Mapping[str, Sequence[Exchange]],
    generator: np.random.Generator,
    *,
    n_rows: int,
    n_tokens: int,
) -> Batch:
    """Draw rows, each one conversation (or a few tales) cut at ``n_tokens``."""
    rows = [_row(codec, exchanges, generator, n_tokens) for _ in range(n_rows)]
    return Batch(
        tokens=np.array([ids for ids, _ in rows], dtype=np.int64),
        is_target=np.array([mask for _, mask in rows]),
    )


def exam_batch(codec: ChatCodec, exam: Sequence[HeldOut]) -> Batch:
    """Lay out the exam with its right answers, one question per row, padded at the end.

    Greedy decoding gives the right answer exactly if, after every right beginning, the likeliest next
    token is the right one. So one forward pass over these rows marks the exam; nothing needs to be generated.
    """
    rows: list[tuple[tuple[int, ...], int]] = []
    for question in exam:
        prompt = codec.encode_prompt([Piece(role=m["role"], content=m["content"]) for m in question.messages])
        rows.append((prompt + codec.encode(question.expected + END_OF_TURN), len(prompt)))
    width = max(len(ids) for ids, _ in rows)
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    is_target = np.zeros((len(rows), width), dtype=np.bool_)
    for i, (ids, n_prompt) in enumerate(rows):
        tokens[i, : len(ids)] = ids
        is_target[i, n_prompt : len(ids)] = True
    return Batch(tokens=tokens, is_target=is_target)


def _row(
    codec: ChatCodec,
    exchanges: Mapping[str, Sequence[Exchange]],
    generator: np.random.Generator,
    n_tokens: int,
) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    mask: list[bool] = []
    if generator.random() < _TALE_SHARE:
        while len(ids) < n_tokens:
            ids += codec.tokenizer.encode(tale(generator) + END_OF_TEXT).ids
        mask = [True] * len(ids)
    else:
        pieces = conversation(exchanges, generator)
        while len(ids) < n_tokens:
            message_ids, is_answer = codec.encode_message(next(pieces))
            ids += message_ids
            mask += is_answer
    return ids[:n_tokens], mask[:n_tokens]
