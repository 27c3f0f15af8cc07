"""What a turn asks of its sampler, checked before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import frozen

from actorllama.errors import RequestError

__all__ = ["SamplingParams", "check_number"]

_MAX_SEED = 2**64 - 1
_MAX_LAST_N = 1 << 16


@frozen(kw_only=True)
class SamplingParams:
    """The sampler settings of one turn. Defaults are llama.cpp's, with an explicit seed.

    A value that switches its filter off is the neutral one of llama.cpp: ``top_k=0``, ``top_p=1``,
    ``min_p=0``, ``typical_p=1``, ``repeat_penalty=1``, ``frequency_penalty=presence_penalty=0``.
    """

    temperature: float = 0.8
    """0 takes the most probable token; higher is more varied."""
    top_k: int = 40
    """Keep the k most probable tokens; 0 keeps all."""
    top_p: float = 0.95
    """Keep the smallest set whose probabilities add up to p."""
    min_p: float = 0.05
    """Drop what is less probable than this share of the most probable token."""
    typical_p: float = 1.0
    """Locally typical sampling; 1 is off."""
    repeat_penalty: float = 1.0
    """Divide (multiply, if negative) the logits of recent tokens; 1 is off."""
    frequency_penalty: float = 0.0
    """Subtract this per occurrence among the recent tokens."""
    presence_penalty: float = 0.0
    """Subtract this once if the token is among the recent ones."""
    penalty_last_n: int = 64
    """How many tokens count as recent; 0 switches penalties off, -1 is the whole sequence."""
    seed: int = 0
    """Key of the random generator; the same seed gives the same turn."""
    logit_bias: Mapping[int, float] | None = None
    """Added to the logits of single tokens; ``-inf`` forbids a token."""

    def checked(self, *, n_vocab: int) -> SamplingParams:
        """Return these parameters if every one of them is usable.

        Raises:
            RequestError: The first one that is not, with its bound.
        """
        check_number("temperature", self.temperature, low=0.0, high=100.0)
        check_number("top_k", self.top_k, low=0, high=max(1 << 20, n_vocab), integer=True)
        check_number("top_p", self.top_p, low=0.0, high=1.0, above_low=True)
        check_number("min_p", self.min_p, low=0.0, high=1.0)
        check_number("typical_p", self.typical_p, low=0.0, high=1.0, above_low=True)
        check_number("repeat_penalty", self.repeat_penalty, low=0.0, high=100.0, above_low=True)
        check_number("frequency_penalty", self.frequency_penalty, low=-100.0, high=100.0)
        check_number("presence_penalty", self.presence_penalty, low=-100.0, high=100.0)
        check_number("penalty_last_n", self.penalty_last_n, low=-1, high=_MAX_LAST_N, integer=True)
        check_number("seed", self.seed, low=0, high=_MAX_SEED, integer=True)
        _check_bias(self.logit_bias, n_vocab=n_vocab)
        return self

    @property
    def is_greedy(self) -> bool:
        """Whether no random number is drawn."""
        return self.temperature == 0.0

    @property
    def has_penalties(self) -> bool:
        """Whether recent tokens change the logits."""
        return self.penalty_last_n != 0 and (
            self.repeat_penalty != 1.0 or self.frequency_penalty != 0.0 or self.presence_penalty != 0.0
        )


def check_number(
    field: str,
    value: object,
    *,
    low: float,
    high: float,
    integer: bool = False,
    above_low: bool = False,
) -> None:
    """Refuse what is not a finite number within its bounds.

    Raises:
        RequestError: With the field, the value and the bound.
    """
    kind = "an integer" if integer else "a number"
    is_kind = isinstance(value, int) if integer else isinstance(value, int | float)
    if isinstance(value, bool) or not is_kind:
        raise RequestError(field=field, value=value, reason=f"must be {kind}")
    assert isinstance(value, int | float)
    if not math.isfinite(value):
        raise RequestError(field=field, value=value, reason="must be finite")
    if value > high or value < low or (above_low and value == low):
        sign = ">" if above_low else ">="
        raise RequestError(field=field, value=value, reason=f"must be {sign} {low} and <= {high}")


def _check_bias(bias: Mapping[int, float] | None, *, n_vocab: int) -> None:
    if bias is None:
        return
    if not isinstance(bias, Mapping):
        raise RequestError(field="logit_bias", value=bias, reason="must map token ids to numbers")
    for token, value in bias.items():
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < n_vocab:
            raise RequestError(field="logit_bias", value=token, reason=f"token ids are 0 to {n_vocab - 1}")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or math.isnan(value) or value == math.inf:
            raise RequestError(field="logit_bias", value=value, reason="must be a number or -inf")
