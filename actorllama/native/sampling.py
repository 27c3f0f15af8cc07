"""What a turn asks of its sampler, checked before anything is computed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

from attrs import field, frozen

from actorllama.errors import RequestError
from actorllama.native.grammar import GrammarRequest
from actorllama.native.sampler_bounds import Bound, check_number

__all__ = ["CHAIN", "SamplingParams", "check_number"]

CHAIN: tuple[str, ...] = (
    *("penalties", "dry", "top_n_sigma", "top_k", "typical", "top_p", "min_p", "xtc", "temperature"),
)
"""The stages in llama.cpp's default order (``samplers`` in common/common.h)."""

_MAX_LAST_N = 1 << 16
_MAX_BIAS = 1e9
_MAX_BREAKERS = 64
_MAX_BREAKER_BYTES = 40  # llama.cpp cuts longer ones

_BOUNDS = (
    Bound("temperature", 0.0, 100.0),
    Bound("dynatemp_range", 0.0, 100.0),
    Bound("dynatemp_exponent", 0.0, 100.0),
    Bound("top_p", 0.0, 1.0, above_low=True),
    Bound("min_p", 0.0, 1.0),
    Bound("typical_p", 0.0, 1.0, above_low=True),
    Bound("top_n_sigma", -1.0, 1000.0),
    Bound("min_keep", 0, 1 << 20, integer=True),
    Bound("xtc_probability", 0.0, 1.0),
    Bound("xtc_threshold", 0.0, 1.0),
    Bound("repeat_penalty", 0.0, 100.0, above_low=True),
    Bound("frequency_penalty", -100.0, 100.0),
    Bound("presence_penalty", -100.0, 100.0),
    Bound("penalty_last_n", -1, _MAX_LAST_N, integer=True),
    Bound("dry_multiplier", 0.0, 100.0),
    Bound("dry_base", 1.0, 100.0),
    Bound("dry_allowed_length", 0, _MAX_LAST_N, integer=True),
    Bound("dry_penalty_last_n", -1, _MAX_LAST_N, integer=True),
    Bound("mirostat", 0, 2, integer=True),
    Bound("mirostat_tau", 0.0, 100.0),
    Bound("mirostat_eta", 0.0, 1.0),
    Bound("adaptive_target", -1.0, 1.0),
    Bound("adaptive_decay", 0.0, 0.99),
    Bound("seed", 0, 2**64 - 1, integer=True),
)
_MAX_LOGPROBS = 20
_MIN_TEMPERATURE = 1e-6  # logits divided by less do not fit into float32


def _as_tuple(value: Iterable[str] | str) -> tuple[str, ...]:
    # What is no sequence of texts is refused by name in checked(), not here.
    return (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)


def _as_ids(value: Iterable[int]) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, Iterable) else (value,)


def _as_texts(value: Iterable[str] | str | None) -> tuple[str, ...] | None:
    return None if value is None else _as_tuple(value)


def _as_json(value: Mapping[str, object] | None) -> Mapping[str, object] | None:
    # A copy that nobody else can change; what is no JSON is refused in checked().
    try:
        copy: Mapping[str, object] | None = json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return value
    return copy


@frozen(kw_only=True)
class SamplingParams:
    """The sampler settings of one turn. Defaults are llama.cpp's, with an explicit seed.

    A value that switches its stage off is the neutral one of llama.cpp: ``top_k=0``, ``top_p=1``,
    ``min_p=0``, ``typical_p=1``, ``top_n_sigma=0``, ``xtc_probability=0``, ``repeat_penalty=1``,
    ``frequency_penalty=presence_penalty=0``, ``dry_multiplier=0``, ``dynatemp_range=0``.
    """

    temperature: float = 0.8
    """0 takes the most probable token; higher is more varied."""
    dynatemp_range: float = 0.0
    """Let the temperature vary by this much up and down with the entropy of the candidates."""
    dynatemp_exponent: float = 1.0
    """How entropy maps to temperature; 1 is linear."""
    top_k: int = 40
    """Keep the k most probable tokens; 0 keeps all."""
    top_p: float = 0.95
    """Keep the smallest set whose probabilities add up to p."""
    min_p: float = 0.05
    """Drop what is less probable than this share of the most probable token."""
    typical_p: float = 1.0
    """Locally typical sampling; 1 is off."""
    top_n_sigma: float = 0.0
    """Drop what lies more than n standard deviations below the highest logit; 0 or less is off."""
    min_keep: int = 0
    """Let typical, top-p, min-p and XTC leave at least this many tokens."""
    xtc_probability: float = 0.0
    """How often to leave out all of the likely tokens but the least likely of them; 0 is off."""
    xtc_threshold: float = 0.1
    """From which probability on a token counts as likely; above 0.5 is off."""
    repeat_penalty: float = 1.0
    """Divide (multiply, if negative) the logits of recent tokens; 1 is off."""
    frequency_penalty: float = 0.0
    """Subtract this per occurrence among the recent tokens."""
    presence_penalty: float = 0.0
    """Subtract this once if the token is among the recent ones."""
    penalty_last_n: int = 64
    """How many tokens count as recent; 0 switches penalties off, -1 is the whole sequence."""
    dry_multiplier: float = 0.0
    """Subtract ``multiplier * base ** (length - allowed_length)`` from what goes on repeating; 0 is off."""
    dry_base: float = 1.75
    """How fast that grows with the length of the repetition."""
    dry_allowed_length: int = 2
    """Repetitions shorter than this many tokens are free."""
    dry_penalty_last_n: int = 64
    """How many tokens are searched for repetitions; 0 switches DRY off, -1 is the whole sequence."""
    dry_sequence_breakers: tuple[str, ...] = field(default=("\n", ":", '"', "*"), converter=_as_tuple)
    """Texts that a repetition cannot reach across."""
    mirostat: int = 0
    """1 or 2: mirostat, which replaces every stage but bias and temperature, as in llama.cpp."""
    mirostat_tau: float = 5.0
    """The surprise to steer to, in bits."""
    mirostat_eta: float = 0.1
    """How fast mirostat learns."""
    adaptive_target: float = -1.0
    """Draw tokens whose probability is near this one (adaptive-p); negative is off."""
    adaptive_decay: float = 0.9
    """How slowly adaptive-p forgets: about ``1 / (1 - decay)`` tokens."""
    samplers: tuple[str, ...] = field(default=CHAIN, converter=_as_tuple)
    """The stages to use, in this order; what is not named is off."""
    seed: int = 0
    """Key of the random generator; the same seed gives the same turn."""
    logit_bias: Mapping[int, float] | None = None
    """Added to the logits of single tokens before everything else, up to 1e9; ``-inf`` forbids a token."""

    grammar: str | None = None
    """Hold the text to a GBNF grammar, llama.cpp's notation, beginning with ``root``."""
    json_schema: Mapping[str, object] | None = field(default=None, converter=_as_json)
    """Hold the text to JSON of this schema; see ``grammar_schema.schema_to_gbnf`` for what there is."""
    regex: str | None = None
    """Hold the whole text to a regular expression; see ``grammar_regex.regex_to_gbnf``."""
    choice: tuple[str, ...] | None = field(default=None, converter=_as_texts)
    """Hold the text to one of these."""
    grammar_triggers: tuple[str, ...] = field(default=(), converter=_as_tuple)
    """Hold the text to the grammar only from the first of these texts on, that text included."""
    grammar_trigger_patterns: tuple[str, ...] = field(default=(), converter=_as_tuple)
    """The same with regular expressions."""
    grammar_trigger_tokens: tuple[int, ...] = field(default=(), converter=_as_ids)
    """The same with tokens."""
    logprobs: int | None = None
    """Tell the log-probabilities of each chosen token and of this many best ones, before any sampler."""

    def checked(self, *, n_vocab: int) -> SamplingParams:
        """Return these parameters if every one of them is usable.

        Raises:
            RequestError: The first one that is not, with its bound.
        """
        for bound in _BOUNDS:
            bound.check(getattr(self, bound.field))
        if 0.0 < self.temperature < _MIN_TEMPERATURE:
            reason = f"must be 0 (the most probable token) or at least {_MIN_TEMPERATURE}"
            raise RequestError(field="temperature", value=self.temperature, reason=reason)
        check_number("top_k", self.top_k, low=0, high=max(1 << 20, n_vocab), integer=True)
        _check_bias(self.logit_bias, n_vocab=n_vocab)
        _check_chain(self.samplers)
        _check_breakers(self.dry_sequence_breakers)
        self.constraint.check(n_vocab=n_vocab)
        if self.logprobs is not None:
            check_number("logprobs", self.logprobs, low=0, high=_MAX_LOGPROBS, integer=True)
        if self.mirostat and self.adaptive_target >= 0:
            raise RequestError(
                field="adaptive_target",
                value=self.adaptive_target,
                reason="mirostat draws already: use one of them",
            )
        return self

    @property
    def constraint(self) -> GrammarRequest:
        """What is asked about the form of the text."""
        return GrammarRequest(
            grammar=self.grammar,
            json_schema=self.json_schema,
            regex=self.regex,
            choice=self.choice,
            triggers=self.grammar_triggers,
            trigger_patterns=self.grammar_trigger_patterns,
            trigger_tokens=self.grammar_trigger_tokens,
        )

    @property
    def is_greedy(self) -> bool:
        """Whether the most probable token is taken and no random number drawn."""
        has_temperature = bool(self.mirostat) or "temperature" in self.samplers
        return (
            has_temperature
            and self.temperature == 0.0
            and (bool(self.mirostat) or self.dynatemp_range == 0.0)
        )

    @property
    def n_learned(self) -> int:
        """How many numbers the draw learns: mirostat's mu, or the two sums of adaptive-p."""
        if self.is_greedy:
            return 0
        if self.mirostat:
            return 1
        return 2 if self.adaptive_target >= 0 else 0

    @property
    def has_penalties(self) -> bool:
        """Whether recent tokens change the logits."""
        is_on = self.repeat_penalty != 1.0 or self.frequency_penalty != 0.0 or self.presence_penalty != 0.0
        return is_on and self.penalty_last_n != 0 and self.uses("penalties")

    @property
    def has_dry(self) -> bool:
        """Whether repetitions change the logits."""
        return self.dry_multiplier != 0.0 and self.dry_penalty_last_n != 0 and self.uses("dry")

    @property
    def has_xtc(self) -> bool:
        """Whether likely tokens may be left out."""
        return self.xtc_probability > 0.0 and self.xtc_threshold <= 0.5 and self.uses("xtc")

    def uses(self, stage: str) -> bool:
        """Say whether the chain has this stage at all."""
        return not self.mirostat and stage in self.samplers


def _check_bias(bias: Mapping[int, float] | None, *, n_vocab: int) -> None:
    if bias is None:
        return
    if not isinstance(bias, Mapping):
        raise RequestError(field="logit_bias", value=bias, reason="must map token ids to numbers")
    for token, value in bias.items():
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < n_vocab:
            raise RequestError(field="logit_bias", value=token, reason=f"token ids are 0 to {n_vocab - 1}")
        if value != -math.inf:
            check_number("logit_bias", value, low=-_MAX_BIAS, high=_MAX_BIAS)


def _check_chain(samplers: tuple[str, ...]) -> None:
    for stage in samplers:
        if not isinstance(stage, str) or stage not in CHAIN:
            raise RequestError(field="samplers", value=stage, reason=f"the stages are {', '.join(CHAIN)}")
    if len(set(samplers)) < len(samplers):
        raise RequestError(field="samplers", value=samplers, reason="names a stage twice")


def _check_breakers(breakers: tuple[str, ...]) -> None:
    name = "dry_sequence_breakers"
    if len(breakers) > _MAX_BREAKERS:
        raise RequestError(field=name, value=len(breakers), reason=f"at most {_MAX_BREAKERS}")
    for breaker in breakers:
        if not isinstance(breaker, str) or not breaker:
            raise RequestError(field=name, value=breaker, reason="must be non-empty texts")
        if "\0" in breaker or not _is_unicode(breaker):
            raise RequestError(field=name, value=breaker, reason="holds a NUL or a lone surrogate")
        if len(breaker.encode()) > _MAX_BREAKER_BYTES:
            raise RequestError(field=name, value=breaker, reason=f"at most {_MAX_BREAKER_BYTES} bytes each")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
