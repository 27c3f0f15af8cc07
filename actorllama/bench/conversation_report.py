"""What the conversation bench found, and how to read it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from actorllama.bench.chart import Chart, Panel, series_of
from actorllama.bench.facts import BenchFacts, plain_options
from actorllama.bench.harness import Spread
from actorllama.errors import RequestError

__all__ = ["ConversationBenchOptions", "ConversationReport", "ConversationSide", "SaidTurn"]


@frozen(kw_only=True)
class ConversationBenchOptions:
    """What to hold.

    Raises:
        RequestError: A value is out of its bounds.
    """

    model: Path
    label: str
    n_ctx_train: int
    """What the model was trained for: a conversation is no longer."""
    n_conversations: int = 8
    n_turns: int = 20
    n_system: int = 512
    """Tokens of the prompt that all conversations begin with."""
    n_user: int = 32
    """Tokens of each message."""
    n_reply: int = 32
    """Tokens of each reply."""
    n_seq: int = 4
    """Sequences: fewer than conversations, so that some must be brought back."""
    n_threads: int = 0
    block_tokens: int = 64

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be held."""
        bounds = (
            ("conversations", self.n_conversations, 1, 256),
            ("turns", self.n_turns, 1, 1000),
            ("system", self.n_system, 1, 1 << 20),
            ("user", self.n_user, 1, 1 << 20),
            ("reply", self.n_reply, 1, 1 << 20),
            ("n", self.n_seq, 1, 256),
        )
        for field, value, low, high in bounds:
            if not low <= value <= high:
                raise RequestError(field=field, value=value, reason=f"must be {low} to {high}")
        if self.n_cells_of_one + 8 > self.n_ctx_train:
            reason = f"a conversation of {self.n_cells_of_one} tokens; the model goes to {self.n_ctx_train}"
            raise RequestError(field="turns", value=self.n_turns, reason=reason)

    @property
    def n_cells_of_one(self) -> int:
        """Tokens of a whole conversation."""
        return self.n_system + self.n_turns * (self.n_user + self.n_reply)

    @property
    def n_total_tokens(self) -> int:
        """Tokens of all conversations, the common beginning counted once."""
        return self.n_system + self.n_conversations * self.n_turns * (self.n_user + self.n_reply)

    @property
    def n_new_tokens(self) -> int:
        """Those of them that no model has chosen: what must be computed as parts of prompts at least."""
        return self.n_system + self.n_conversations * self.n_turns * self.n_user

    @property
    def n_whole_tokens(self) -> int:
        """Tokens that are written by one who saves every turn whole."""
        each = (self.n_system + turn * (self.n_user + self.n_reply) for turn in range(1, self.n_turns + 1))
        return self.n_conversations * sum(each)


@frozen(kw_only=True)
class SaidTurn:
    """One turn of one conversation."""

    turn: int
    n_prompt: int
    n_cached: int
    source: str | None
    first_token_s: float
    queue_s: float


@frozen(kw_only=True)
class ConversationSide:
    """All turns that were held one way."""

    turns: tuple[SaidTurn, ...]

    @property
    def n_prefilled(self) -> int:
        """Prompt tokens that were computed."""
        return sum(turn.n_prompt - turn.n_cached for turn in self.turns)

    @property
    def first_token_s(self) -> float:
        """Time to the first token, of all turns together."""
        return sum(turn.first_token_s for turn in self.turns)

    def to_json(self) -> dict[str, object]:
        """Give counts and times by source and by turn."""
        sources = sorted({turn.source or "none" for turn in self.turns})
        by_source = {
            source: _times([turn for turn in self.turns if (turn.source or "none") == source])
            for source in sources
        }
        n_turns = max(turn.turn for turn in self.turns) + 1
        by_turn = [_times([turn for turn in self.turns if turn.turn == number]) for number in range(n_turns)]
        return {
            "n_prefilled": self.n_prefilled,
            "first_token": _times(self.turns),
            "by_source": by_source,
            "by_turn": by_turn,
        }


@frozen(kw_only=True)
class ConversationReport:
    """Both sides, and what was written."""

    options: ConversationBenchOptions
    facts: BenchFacts
    cpu_s_per_1000_tokens: float | None
    """With the cache: of all that was done for 1,000 tokens of replies, prompts included."""
    cell_bytes: float
    """Of one token in a saved state."""
    written_bytes: int
    n_files: int
    cached: ConversationSide
    bare: ConversationSide
    """With the cache switched off: every prompt is computed whole."""

    @property
    def written_ratio(self) -> float:
        """Bytes written over the bytes of all tokens, each counted once; it does not grow with the turns."""
        return self.written_bytes / (self.options.n_total_tokens * self.cell_bytes)

    @property
    def whole_ratio(self) -> float:
        """What the ratio would be if every turn were saved whole."""
        return self.options.n_whole_tokens / self.options.n_total_tokens

    @property
    def prefill_ratio(self) -> float:
        """Prompt tokens computed over prompt tokens that were new."""
        return self.cached.n_prefilled / self.options.n_new_tokens

    @property
    def first_token_ratio(self) -> float:
        """Time to the first token with the cache over that without, of all turns together."""
        return self.cached.first_token_s / self.bare.first_token_s

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values."""
        options = self.options
        return {
            **self.facts.envelope(
                "conversation", plain_options(options), cpu_s_per_1000_tokens=self.cpu_s_per_1000_tokens
            ),
            "n_total_tokens": options.n_total_tokens,
            "bytes_per_token": self.cell_bytes,
            "bytes_written": self.written_bytes,
            "n_files": self.n_files,
            "bytes_written_ratio": round(self.written_ratio, 4),
            "bytes_written_ratio_if_whole": round(self.whole_ratio, 4),
            "n_new_tokens": options.n_new_tokens,
            "prefill_ratio": round(self.prefill_ratio, 4),
            "first_token_ratio": round(self.first_token_ratio, 4),
            "cached": self.cached.to_json(),
            "bare": self.bare.to_json(),
        }

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        options = self.options
        lines = [
            f"{options.label}: {options.n_conversations} conversations of {options.n_turns} turns, "
            f"{options.n_seq} sequences, {options.n_total_tokens} tokens in all",
            f"  written        {self.written_ratio:8.2f} x the bytes of all tokens, in {self.n_files} files "
            f"(every turn whole: {self.whole_ratio:.2f})",
            f"  prefilled      {self.prefill_ratio:8.2f} x the new tokens "
            f"(without the cache: {self.bare.n_prefilled / options.n_new_tokens:.2f})",
            f"  first tokens   {self.first_token_ratio:8.3f} x the time without the cache",
        ]
        for name, side in (("cached", self.cached), ("bare", self.bare)):
            times = _times(side.turns)
            lines.append(f"  {name:<14} median {times['median_s']} s, p95 {times['p95_s']} s")
        return [*lines, "Not shown: quality, other machines; waiting for a sequence is part of the times."]

    def chart(self) -> Chart:
        """Show the time to the first token and the tokens computed, turn by turn, on both sides."""
        sides = {"with the cache": self.cached, "without": self.bare}
        n_turns = self.options.n_turns

        def of_turns(
            side: ConversationSide, figure: Callable[[SaidTurn], float]
        ) -> list[tuple[float, Spread]]:
            return [
                (number + 1.0, Spread.of([figure(turn) for turn in side.turns if turn.turn == number]))
                for number in range(n_turns)
            ]

        return Chart(
            title=f"{self.options.n_conversations} conversations that begin alike, {self.options.label}",
            panels=(
                Panel(
                    title="time to the first token",
                    x_label="turn",
                    y_label="seconds, waiting for a sequence included",
                    series=tuple(
                        series_of(name, of_turns(side, lambda turn: turn.first_token_s))
                        for name, side in sides.items()
                    ),
                ),
                Panel(
                    title=f"written: {self.written_ratio:.2f} x the bytes of all tokens",
                    x_label="turn",
                    y_label="prompt tokens computed",
                    series=tuple(
                        series_of(name, of_turns(side, lambda turn: turn.n_prompt - turn.n_cached))
                        for name, side in sides.items()
                    ),
                ),
            ),
            footnote=self.facts.footnote(),
        )


def _times(turns: Sequence[SaidTurn]) -> dict[str, object]:
    times = sorted(turn.first_token_s for turn in turns)
    return {
        "n": len(times),
        "median_s": round(statistics.median(times), 6),
        "p95_s": round(times[min(len(times) - 1, int(0.95 * len(times)))], 6),
        "median_queue_s": round(statistics.median(turn.queue_s for turn in turns), 6),
    }
