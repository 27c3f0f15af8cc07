"""What a turn brought, with accounts that add up."""

from __future__ import annotations

from attrs import field, frozen

from actorllama.engine.canary import Exactness
from actorllama.engine.commands import PrefixSource
from actorllama.engine.reports import FinishReason, TokenLogprob, TurnEnd

__all__ = ["Timings", "TurnResult", "Usage", "result_of", "timings_of"]


@frozen(kw_only=True)
class Usage:
    """Tokens of a turn: ``n_prompt = n_cached + n_prefilled``, unless it stopped inside its prompt."""

    n_prompt: int
    n_cached: int
    """Prompt tokens that were not computed again."""
    n_prefilled: int
    """Prompt tokens that were computed."""
    n_generated: int
    source: PrefixSource | None = None
    """Where those came from: ``live`` (its sequence), ``turn`` (one beside it), ``ram`` or ``disk``."""

    @property
    def n_total(self) -> int:
        """Prompt and reply together."""
        return self.n_prompt + self.n_generated


@frozen(kw_only=True)
class Timings:
    """Seconds of a turn: ``total_s = queue_s + restore_s + prefill_s + decode_s + save_s``."""

    queue_s: float
    """From being taken by the model actor to having a sequence, without the lookup that a restore follows."""
    prefill_s: float
    """Until the logits of the first token were there."""
    decode_s: float
    """From then to the end."""
    restore_s: float = 0.0
    """For finding a saved state in the cache and putting it into the sequence, between queue and prefill."""
    save_s: float = 0.0
    """For copying the turn's state out, at its end."""

    @property
    def first_token_s(self) -> float:
        """How long the first token took to come."""
        return self.queue_s + self.restore_s + self.prefill_s

    @property
    def total_s(self) -> float:
        """The whole turn."""
        return self.first_token_s + self.decode_s + self.save_s


@frozen(kw_only=True)
class TurnResult:
    """A turn that ended as it should; whatever else happens to a turn is an exception."""

    model: str
    turn_id: int
    text: str
    tokens: tuple[int, ...]
    """Generated token ids, the end-of-generation token included."""
    finish_reason: FinishReason
    """``end`` (the model's own), ``stop`` (a stop string), ``length`` (max_tokens), ``context`` (full)."""
    stop: str | None
    """The stop string that ended it."""
    seed: int
    n_draws: int
    """Random numbers drawn; with the seed, the state of the generator."""
    n_steps: int
    """Native calls that computed a part of it."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    """For each generated token, if they were asked for."""
    resume_key: str | None = None
    """Names the saved state; ``None`` unless the turn was to be kept."""
    lineage: tuple[int, ...] = field(default=(), repr=False)
    """Prompt and reply with the marks of how they were computed, for the turn that goes on (`lineage.py`)."""
    exactness: Exactness
    """The level that held: ``exact``, ``faithful`` or ``recomputed`` (docs/semantics.md)."""
    usage: Usage
    timings: Timings


def result_of(
    end: TurnEnd,
    *,
    model: str,
    seed: int,
    taken_at_s: float,
    lookup_s: float = 0.0,
    exactness: Exactness,
    lineage: tuple[int, ...],
    resume_key: str | None = None,
) -> TurnResult:
    """Turn a loop's account into the caller's."""
    return TurnResult(
        model=model,
        turn_id=end.turn_id,
        text=end.text,
        tokens=end.tokens,
        finish_reason=end.finish_reason,
        stop=end.stop,
        seed=seed,
        n_draws=end.n_draws,
        n_steps=end.n_steps,
        logprobs=end.logprobs,
        resume_key=resume_key,
        exactness=exactness,
        lineage=lineage,
        usage=Usage(
            n_prompt=end.n_prompt,
            n_cached=end.n_restored,
            n_prefilled=end.n_prefilled,
            n_generated=len(end.tokens),
            source=end.source,
        ),
        timings=timings_of(end, taken_at_s=taken_at_s, lookup_s=lookup_s),
    )


def timings_of(end: TurnEnd, *, taken_at_s: float, lookup_s: float = 0.0) -> Timings:
    """Take a turn's time apart, whatever its end; what it did not come to took no time.

    Args:
        end: The loop's account.
        taken_at_s: When it was taken.
        lookup_s: Seconds before it had a sequence in which the cache found what was restored then.
    """
    computed_at_s = end.ended_at_s - end.save_s
    first_token_at_s = end.first_token_at_s if end.first_token_at_s is not None else computed_at_s
    return Timings(
        queue_s=end.started_at_s - end.restore_s - lookup_s - taken_at_s,
        restore_s=lookup_s + end.restore_s,
        prefill_s=first_token_at_s - end.started_at_s,
        decode_s=computed_at_s - first_token_at_s,
        save_s=end.save_s,
    )
