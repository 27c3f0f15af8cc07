"""What a run brought, in numbers: for people one line, for machines one object."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from attrs import asdict, frozen

from actorllama.cli.failures import describe, exit_code_of
from actorllama.cli.turns import Outcome
from actorllama.engine import LoopStatistics

__all__ = ["RunStatistics", "answer_of", "statistics_of", "worst_exit_code"]


@frozen(kw_only=True)
class RunStatistics:
    """The numbers of one run; ``None`` where nothing was measured."""

    n_turns: int
    n_ended: int
    n_generated: int
    """Tokens of all turns, those that were cut short included."""
    wall_s: float
    tokens_per_s: float | None
    first_token_s: float | None
    """The median over the turns."""
    n_steps: int
    mean_batch: float | None
    """Tokens that a step computed on average, prompts and replies together."""

    def line(self) -> str:
        """Tell them to a person."""
        words = [
            f"{self.n_ended} of {self.n_turns} turns"
            if self.n_ended != self.n_turns
            else _turns(self.n_turns)
        ]
        words.append(f"{self.n_generated} tokens in {self.wall_s:.2f} s")
        if self.tokens_per_s is not None:
            words.append(f"{self.tokens_per_s:.1f} tokens/s")
        if self.first_token_s is not None:
            words.append(f"first token after {self.first_token_s * 1000:.0f} ms (median)")
        words.append(f"{self.n_steps} steps")
        if self.mean_batch is not None:
            words.append(f"mean batch {self.mean_batch:.1f} tokens")
        return ", ".join(words)


def statistics_of(
    outcomes: Sequence[Outcome], loop: LoopStatistics | None, *, wall_s: float
) -> RunStatistics:
    """Add a run up.

    Args:
        outcomes: How its turns ended.
        loop: What the engine loop has done for them.
        wall_s: Seconds from the first turn's begin to the last one's end.
    """
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    n_generated = sum(outcome.n_generated for outcome in outcomes)
    n_steps = loop.n_steps if loop else 0
    return RunStatistics(
        n_turns=len(outcomes),
        n_ended=len(results),
        n_generated=n_generated,
        wall_s=wall_s,
        tokens_per_s=n_generated / wall_s if wall_s > 0 and n_generated else None,
        first_token_s=median(result.timings.first_token_s for result in results) if results else None,
        n_steps=n_steps,
        mean_batch=(loop.n_prefilled + loop.n_decoded) / n_steps if loop and n_steps else None,
    )


def answer_of(
    prompts: Sequence[str], outcomes: Sequence[Outcome], about: dict[str, object]
) -> dict[str, object]:
    """Make the JSON object of a run."""
    pairs = zip(prompts, outcomes, strict=True)
    return {"turns": [_turn(prompt, outcome) for prompt, outcome in pairs], **about}


def worst_exit_code(outcomes: Sequence[Outcome]) -> int:
    """Choose one exit code for all turns: what the user can mend comes first."""
    return max((exit_code_of(outcome.error) for outcome in outcomes if outcome.error is not None), default=0)


def _turn(prompt: str, outcome: Outcome) -> dict[str, object]:
    result = outcome.result
    if result is None:
        reason = "cancelled" if outcome.error is None else "error"
        error = None if outcome.error is None else describe(outcome.error)
        return {"prompt": prompt, "text": outcome.text, "finish_reason": reason, "error": error}
    return {
        "prompt": prompt,
        "text": result.text,
        "finish_reason": result.finish_reason,
        "stop": result.stop,
        "tokens": list(result.tokens),
        "seed": result.seed,
        "usage": asdict(result.usage),
        "timings": asdict(result.timings)
        | {"first_token_s": result.timings.first_token_s, "total_s": result.timings.total_s},
        "error": None,
    }


def _turns(n: int) -> str:
    return "1 turn" if n == 1 else f"{n} turns"
