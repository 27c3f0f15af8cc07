"""Text that a model has written itself, with the logits and the states that it passed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Final, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from actorllama.engine import ChatTemplate
from actorllama.errors import ChatTemplateError
from actorllama.native import SamplingParams, StepBatch
from actorllama.native.llama.context import LlamaContext
from actorllama.native.llama.model import LlamaModel

__all__ = ["LiveRun", "Logits", "logits_after", "run_live"]

_OPENERS: Final = (
    "Tell me a story.",
    "Once upon a time there was a little girl who",
    "Count from 3 to 12.",
    "Spell the word 'garden'.",
    "What is actorllama?",
    "The old man opened the door and",
)

Logits: TypeAlias = NDArray[np.float32]


@frozen(kw_only=True)
class LiveRun:
    """What the sequence that was never saved did."""

    tokens: tuple[int, ...]
    states: tuple[bytes, ...]
    """Its state at each boundary."""
    logits: tuple[Logits, ...]
    """Behind each boundary: one row for each of the next tokens, shape ``(n_positions, n_vocab)``."""


def run_live(
    model: LlamaModel,
    context: LlamaContext,
    *,
    n_tokens: int,
    boundaries: Sequence[int],
    n_positions: int,
    seed: int,
    between: Callable[[], None],
) -> LiveRun:
    """Let the model read openers and write on, token by token, in sequence 0.

    Args:
        model: Whose vocabulary and template are used.
        context: Empty.
        n_tokens: Length of the text.
        boundaries: Numbers of cells, ascending, at which the state is copied.
        n_positions: How many logits rows are kept behind each boundary.
        seed: Of the sampler.
        between: Called after every token; may raise.
    """
    openers = _openers(model)
    pending = list(next(openers))
    sampler = context.new_sampler(SamplingParams(seed=seed), [])
    tokens: list[int] = []
    states: list[bytes] = []
    rows: list[list[Logits]] = [[] for _boundary in boundaries]
    try:
        while len(tokens) < n_tokens:
            if len(tokens) in boundaries:
                states.append(_state(context))
            token = pending.pop(0) if pending else context.sample([sampler], [0])[0]
            logits = logits_after(context, token, position=len(tokens), seq_id=0)
            for first, kept in zip(boundaries, rows, strict=True):
                if first <= len(tokens) < first + n_positions:
                    kept.append(logits)
            tokens.append(token)
            if not pending and model.vocabulary.is_end(token):
                pending = list(next(openers))
            between()
    finally:
        sampler.close()
    return LiveRun(tokens=tuple(tokens), states=tuple(states), logits=tuple(np.stack(kept) for kept in rows))


def logits_after(context: LlamaContext, token: int, *, position: int, seq_id: int) -> Logits:
    """Decode one token alone and return a copy of its logits, shape ``(n_vocab,)``."""
    context.decode(StepBatch(tokens=[token], positions=[position], seq_ids=[seq_id], outputs=[0]))
    logits: Logits = context.logits()[0].copy()
    return logits


def _state(context: LlamaContext) -> bytes:
    buffer = bytearray(context.state_bytes(0))
    n_bytes = context.get_state(0, memoryview(buffer))
    return bytes(buffer[:n_bytes])


def _openers(model: LlamaModel) -> Iterator[list[int]]:
    facts, vocabulary = model.facts, model.vocabulary
    try:
        template = ChatTemplate(facts.chat_template, bos=facts.bos_text, eos=facts.eos_text)
        texts = [template.render([{"role": "user", "content": text}]) for text in _OPENERS]
        found = [vocabulary.tokenize(text, add_special=False, parse_special=True) for text in texts]
    except ChatTemplateError:
        found = [vocabulary.tokenize(text, add_special=True, parse_special=False) for text in _OPENERS]
    return cycle([tokens for tokens in found if tokens])
