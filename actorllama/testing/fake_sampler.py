"""The sampler of the fake backend: the same filters, in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate

from actorllama.errors import RequestError, StateError
from actorllama.native import SamplerRecord, SamplingParams
from actorllama.native.rng import uniform
from actorllama.native.sampling import CHAIN
from actorllama.testing.fake_language import N_VOCAB

__all__ = ["FakeSampler"]


class FakeSampler:
    """Choose one turn's tokens in llama.cpp's order: bias, penalties, filters, and a draw of our own.

    Owner: one turn. Like the real one it may be closed again and again, and must not be used after.
    """

    def __init__(
        self, params: SamplingParams, history: Sequence[int], *, on_freed: Callable[[], None]
    ) -> None:
        """Begin with the prompt as history.

        Raises:
            RequestError: The parameters use a stage that this sampler does not have.
        """
        _refuse_other_stages(params)
        self._params = params
        self._history = list(history)
        self._on_freed = on_freed
        self._is_open = True
        self._n_draws = 0

    @property
    def n_draws(self) -> int:
        """Random numbers drawn so far."""
        return self._n_draws

    def accept(self, token: int) -> None:
        """Tell the penalties that this token is part of the text."""
        self._check_open()
        self._history.append(token)

    def record(self) -> SamplerRecord:
        """Return everything that decides the next token beside its logits."""
        self._check_open()
        # Mirostat and adaptive-p do not happen here, but a record of them must look like one.
        return SamplerRecord(
            params=self._params,
            n_vocab=N_VOCAB,
            n_draws=self._n_draws,
            learned=(1.0,) * self._params.n_learned,
            recent=tuple(self._history),
        )

    def go_on_from(self, record: SamplerRecord) -> None:
        """Take over what the record adds to parameters and history."""
        self._n_draws = record.n_draws

    def choose(self, row: Sequence[float]) -> int:
        """Choose a token from one logits row and accept it."""
        self._check_open()
        logits = self._shifted(list(row))
        token = logits.index(max(logits)) if self._params.is_greedy else self._draw(self._kept(logits))
        self._history.append(token)
        return token

    def close(self) -> None:
        """Free it; safe to call again."""
        if self._is_open:
            self._is_open = False
            self._on_freed()

    def _check_open(self) -> None:
        if not self._is_open:
            raise StateError(operation="sampler", reason="it is closed")

    def _shifted(self, logits: list[float]) -> list[float]:
        params = self._params
        for token, bias in (params.logit_bias or {}).items():
            logits[token] += bias
        if params.has_penalties:
            n = max(params.penalty_last_n, 0)
            for token, count in Counter(self._history[-n:] if n else self._history).items():
                logit = logits[token]
                logit = logit * params.repeat_penalty if logit <= 0 else logit / params.repeat_penalty
                logits[token] = logit - count * params.frequency_penalty - params.presence_penalty
        return logits

    def _kept(self, logits: list[float]) -> list[tuple[int, float]]:
        """Return what the filters leave, as pairs of token and logit over temperature."""
        params = self._params
        kept = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
        if params.top_k > 0:
            kept = kept[: params.top_k]
        if params.typical_p < 1.0:
            weights = _softmax([logits[token] for token in kept])
            entropy = -sum(p * math.log(p) for p in weights if p > 0)
            oddness = {t: abs(-math.log(p or 1e-300) - entropy) for t, p in zip(kept, weights, strict=True)}
            kept.sort(key=lambda token: (oddness[token], token))
            kept = _until(kept, logits, params.typical_p)
            kept.sort(key=lambda token: (-logits[token], token))
        if params.top_p < 1.0:
            kept = _until(kept, logits, params.top_p)
        if params.min_p > 0.0:
            bound = max(logits[token] for token in kept) + math.log(params.min_p)
            kept = [token for token in kept if logits[token] >= bound]
        return [(token, logits[token] / params.temperature) for token in kept]

    def _draw(self, kept: list[tuple[int, float]]) -> int:
        sums = list(accumulate(_softmax([logit for _, logit in kept])))
        drawn = uniform(self._params.seed, self._n_draws) * sums[-1]
        self._n_draws += 1
        return next((token for (token, _), upto in zip(kept, sums, strict=True) if drawn < upto), kept[-1][0])


def _refuse_other_stages(params: SamplingParams) -> None:
    """Ignoring a stage would make a test pass that should not."""
    others = {
        "dry_multiplier": params.has_dry,
        "xtc_probability": params.has_xtc,
        "mirostat": params.mirostat != 0,
        "adaptive_target": params.adaptive_target >= 0,
        "dynatemp_range": params.dynatemp_range != 0,
        "top_n_sigma": params.top_n_sigma > 0,
        "min_keep": params.min_keep != 0,
        "samplers": params.samplers != CHAIN,
    }
    for name, is_used in others.items():
        if is_used:
            raise RequestError(
                field=name, value=getattr(params, name), reason="the fake sampler has no such stage"
            )


def _softmax(logits: list[float]) -> list[float]:
    highest = max(logits)
    weights = [math.exp(logit - highest) for logit in logits]
    total = sum(weights)
    return [weight / total for weight in weights]


def _until(kept: list[int], logits: list[float], share: float) -> list[int]:
    """Keep the first tokens whose probabilities add up to ``share``; at least one."""
    sums = accumulate(_softmax([logits[token] for token in kept]))
    n = next((n for n, upto in enumerate(sums, start=1) if upto >= share), len(kept))
    return kept[:n]
