"""The sampler settings of a turn as callers write them: keywords."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from actorllama.errors import RequestError
from actorllama.native import SamplingParams

__all__ = ["SamplingOptions", "params_of"]


class SamplingOptions(TypedDict, total=False):
    """The sampler settings of a turn, as keywords; ``SamplingParams`` says what each does."""

    temperature: float
    dynatemp_range: float
    dynatemp_exponent: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    top_n_sigma: float
    min_keep: int
    xtc_probability: float
    xtc_threshold: float
    repeat_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_last_n: int
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_penalty_last_n: int
    dry_sequence_breakers: Sequence[str]
    mirostat: int
    mirostat_tau: float
    mirostat_eta: float
    adaptive_target: float
    adaptive_decay: float
    samplers: Sequence[str]
    seed: int
    logit_bias: Mapping[int, float] | None
    grammar: str | None
    json_schema: Mapping[str, object] | None
    regex: str | None
    choice: Sequence[str] | None
    grammar_triggers: Sequence[str]
    grammar_trigger_patterns: Sequence[str]
    grammar_trigger_tokens: Sequence[int]
    logprobs: int | None


def params_of(sampling: SamplingOptions) -> SamplingParams:
    """Gather keywords into parameters; their bounds are checked with the rest of the request.

    Raises:
        RequestError: One is no sampling parameter.
    """
    try:
        return SamplingParams(**sampling)
    except TypeError as exc:
        unknown = sorted(set(sampling) - set(SamplingOptions.__annotations__))
        known = ", ".join(sorted(SamplingOptions.__annotations__))
        raise RequestError(
            field=unknown[0], value=None, reason=f"is no sampling parameter; there are {known}"
        ) from exc
