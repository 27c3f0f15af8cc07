"""The network in training: weights, optimisers, and the text that it still has to see.

Imported by `actorllama.demo.train` only, because it needs torch.
"""

# torch and tokenizers come with an extra only, so a checker that lacks them knows no type from there.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from attrs import define, field
from torch.nn import functional

from actorllama.demo.batches import Batch, draw_batch, exam_batch, tokenizer_of_corpus
from actorllama.demo.corpus import training_exchanges
from actorllama.demo.exchange import Exchange
from actorllama.demo.export import Vocabulary, write_gguf
from actorllama.demo.heldout import HeldOut
from actorllama.demo.network import logits_of, new_weights
from actorllama.demo.recipe import Recipe
from actorllama.demo.tokenizer import (
    CHAT_TEMPLATE,
    CONTROL_TOKENS,
    END_OF_TEXT,
    END_OF_TURN,
    ChatCodec,
    merges_of,
    vocabulary_of,
)

__all__ = ["Trainer"]


@define(kw_only=True, eq=False)
class Trainer:
    """One training run.

    Owner: the function that made it; nothing here is shared.
    """

    recipe: Recipe
    codec: ChatCodec = field(init=False)
    losses: list[float] = field(factory=list, init=False)
    _weights: Mapping[str, torch.Tensor] = field(init=False)
    _exchanges: Mapping[str, Sequence[Exchange]] = field(init=False)
    _generator: np.random.Generator = field(init=False)
    _optimisers: tuple[tuple[torch.optim.Optimizer, float], ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the tokenizer and fresh weights; all of it follows from the recipe."""
        recipe = self.recipe
        self.codec = ChatCodec(tokenizer=tokenizer_of_corpus(recipe.seed, n_vocab=recipe.shape.n_vocab))
        self._weights = new_weights(recipe.shape, torch.Generator().manual_seed(recipe.seed))
        self._exchanges = training_exchanges()
        self._generator = np.random.default_rng([recipe.seed, 2])
        is_matrix = {name: w.ndim == 2 and name.startswith("blk.") for name, w in self._weights.items()}
        matrices = [w for name, w in self._weights.items() if is_matrix[name]]
        others = [w for name, w in self._weights.items() if not is_matrix[name]]
        self._optimisers = (
            (torch.optim.Muon(matrices, weight_decay=0.01), recipe.matrix_rate),
            (torch.optim.AdamW(others, betas=(0.9, 0.99), weight_decay=0.0), recipe.vector_rate),
        )

    @property
    def n_parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(int(weight.numel()) for weight in self._weights.values())

    def mean_loss(self, n_steps: int) -> float:
        """Average the loss over the last steps."""
        last = self.losses[-n_steps:]
        return sum(last) / len(last)

    def step(self) -> None:
        """Draw one batch and learn from it."""
        recipe, step = self.recipe, len(self.losses)
        n_tokens = recipe.row_tokens_at(step)
        n_rows = max(1, recipe.n_step_tokens // n_tokens)
        batch = draw_batch(self.codec, self._exchanges, self._generator, n_rows=n_rows, n_tokens=n_tokens)
        for optimiser, top_rate in self._optimisers:
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = top_rate * recipe.rate_share_at(step)
        self.losses.append(self._learn(batch))

    def marks(self, exam: Sequence[HeldOut]) -> list[bool]:
        """Mark the exam: for each question, whether greedy decoding gives its answer to the letter."""
        batch = exam_batch(self.codec, exam)
        tokens, is_target = torch.from_numpy(batch.tokens), torch.from_numpy(batch.is_target)
        with torch.no_grad():
            best = logits_of(self._weights, tokens[:, :-1], self.recipe.shape).argmax(dim=-1)
        is_right = (best == tokens[:, 1:]) | ~is_target[:, 1:]
        return [bool(row.all()) for row in is_right]

    def export(self, path: Path) -> None:
        """Write the model as it is now."""
        tokens = vocabulary_of(self.codec.tokenizer)
        vocabulary = Vocabulary(
            tokens=tokens,
            merges=merges_of(self.codec.tokenizer),
            n_control=len(CONTROL_TOKENS),
            eos=tokens.index(END_OF_TURN),
            separator=tokens.index(END_OF_TEXT),
            chat_template=CHAT_TEMPLATE,
        )
        arrays = {name: weight.detach().float().numpy() for name, weight in self._weights.items()}
        write_gguf(path, weights=arrays, shape=self.recipe.shape, vocabulary=vocabulary)

    def _learn(self, batch: Batch) -> float:
        tokens, is_target = torch.from_numpy(batch.tokens), torch.from_numpy(batch.is_target)
        wanted = is_target[:, 1:]
        with torch.autocast("cpu", torch.bfloat16):
            logits = logits_of(self._weights, tokens[:, :-1], self.recipe.shape, wanted=wanted)
        loss = functional.cross_entropy(logits.float(), tokens[:, 1:][wanted])
        loss.backward()
        for optimiser, _ in self._optimisers:
            optimiser.step()
        return float(loss.item())
