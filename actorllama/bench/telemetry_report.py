"""What telemetry was found to cost."""

from __future__ import annotations

from attrs import frozen

from actorllama.bench.harness import Spread

__all__ = ["TelemetryReport"]


@frozen(kw_only=True)
class TelemetryReport:
    """Speeds with every handler attached and with none, portion by portion; neighbours are compared."""

    handlers: tuple[str, ...]
    n_turns: int
    """Taken on each side."""
    told_tokens_per_s: tuple[float, ...]
    bare_tokens_per_s: tuple[float, ...]
    cpu_s_per_turn: float
    """Seconds of the processor that a turn took more with handlers, all threads; of a busy machine: noise."""

    @property
    def ratio(self) -> Spread:
        """With handlers against without, for each pair."""
        return Spread.of_ratios(self.told_tokens_per_s, self.bare_tokens_per_s)

    def to_json(self) -> dict[str, object]:
        """Give the figures as plain values, each named after telemetry."""
        return {
            **self.ratio.to_json("telemetry_ratio", n_digits=4),
            "telemetry_tokens_per_s": round(Spread.of(self.told_tokens_per_s).median, 2),
            "telemetry_n_turns": self.n_turns,
            "telemetry_cpu_us_per_turn": round(self.cpu_s_per_turn * 1e6, 1),
            "telemetry_handlers": list(self.handlers),
        }

    def lines(self) -> list[str]:
        """Give them as a person reads them."""
        low, high = self.ratio.quartiles
        return [
            f"  all handlers attached   {self.ratio.median:10.3f} of the runtime without, middle half "
            f"{low:.3f} to {high:.3f}; {self.n_turns} turns each",
            f"  handlers                {', '.join(self.handlers)}",
        ]
