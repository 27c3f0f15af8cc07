"""All choices of a training run, in one value."""

import math

from attrs import field, frozen

from actorllama.demo.export import ModelShape

__all__ = ["Recipe"]


@frozen(kw_only=True)
class Recipe:
    """All choices of a training run.

    Attributes:
        long_every: Every so many steps the rows are as long as the full context. Spread over the whole run,
            because at the end the rate is too low to learn anything about far positions.
        warmup_share: The first part of the steps, in which the rate rises.
        matrix_rate: Top learning rate of the layers' matrices (Muon).
        vector_rate: Top learning rate of the embedding and the norms (AdamW).
        last_rate_share: What is left of the top rates at the end.
    """

    seed: int = 20260
    n_steps: int = 2000
    n_step_tokens: int = 4096
    n_row_tokens: int = 256
    long_every: int = 5
    warmup_share: float = 0.02
    matrix_rate: float = 0.02
    vector_rate: float = 0.003
    last_rate_share: float = 0.01
    report_every: int = 200
    shape: ModelShape = field(factory=ModelShape)

    def row_tokens_at(self, step: int) -> int:
        """Row length at this step: short, and now and then the full context."""
        return self.shape.n_ctx if step % self.long_every == self.long_every - 1 else self.n_row_tokens

    def rate_share_at(self, step: int) -> float:
        """Fraction of the top learning rates at this step: a short rise, then half a cosine."""
        done = step / self.n_steps
        if done < self.warmup_share:
            return (step + 1) / (self.warmup_share * self.n_steps + 1)
        fall = (done - self.warmup_share) / (1 - self.warmup_share)
        return self.last_rate_share + (1 - self.last_rate_share) * 0.5 * (1 + math.cos(math.pi * fall))
