"""What telemetry was found to cost."""

from __future__ import annotations

import math

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
    late_cpu_s_per_turn: float | None = None
    """Of these, what the thread of the late handlers took; ``None`` where the system does not tell."""

    @property
    def ratio(self) -> Spread:
        """With handlers against without, for each pair."""
        return Spread.of_ratios(self.told_tokens_per_s, self.bare_tokens_per_s)

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the median with 95 % confidence, if pairs are independent: two of their ratios.

        With too few pairs for that, the lowest and the highest.
        """
        ratios = sorted(self.ratio.values)
        n_out = max(0, math.floor(len(ratios) / 2 - 0.98 * math.sqrt(len(ratios))))
        return ratios[n_out], ratios[-1 - n_out]

    def to_json(self) -> dict[str, object]:
        """Give the figures as plain values, each named after telemetry."""
        low, high = self.interval
        late_s = self.late_cpu_s_per_turn
        return {
            **self.ratio.to_json("telemetry_ratio", n_digits=4),
            "telemetry_ratio_95_low": round(low, 4),
            "telemetry_ratio_95_high": round(high, 4),
            "telemetry_tokens_per_s": round(Spread.of(self.told_tokens_per_s).median, 2),
            "telemetry_n_turns": self.n_turns,
            "telemetry_cpu_us_per_turn": round(self.cpu_s_per_turn * 1e6, 1),
            "telemetry_late_cpu_us_per_turn": None if late_s is None else round(late_s * 1e6, 1),
            "telemetry_handlers": list(self.handlers),
        }

    def lines(self) -> list[str]:
        """Give them as a person reads them."""
        low, high = self.interval
        first, third = self.ratio.quartiles
        late_s = self.late_cpu_s_per_turn
        return [
            f"  all handlers attached   {self.ratio.median:10.3f} of the runtime without "
            f"(95 % sure: {low:.3f} to {high:.3f})",
            f"  {self.n_turns} turns on each side, {len(self.ratio.values)} pairs of portions, "
            f"their middle half {first:.3f} to {third:.3f}",
            *(() if late_s is None else (f"  in their thread         {late_s * 1e6:10.0f} us a turn",)),
            f"  handlers                {', '.join(self.handlers)}",
        ]
