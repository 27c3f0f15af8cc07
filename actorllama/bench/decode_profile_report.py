"""Where the time of a step goes: what the profile of decoding found, and how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from attrs import frozen

from actorllama.bench.chart import Chart, Panel, Series
from actorllama.bench.decode_report import DecodeBenchOptions
from actorllama.bench.facts import BenchFacts, plain_options
from actorllama.bench.step_recorder import StepTimes
from actorllama.engine import STEP_PARTS, StepPart

__all__ = ["DecodeProfile", "Microseconds", "SideProfile"]

_SHOWN: Final[dict[StepPart, str]] = {
    "plan": "plan, batch",
    "decode": "llama_decode",
    "turns": "text, accounts",
    "choose": "choosing",
    "post": "reports",
    "between": "between steps",
}
_TOLD: Final = ("p50", "p90", "p99", "max")


@frozen(kw_only=True)
class Microseconds:
    """How a duration was spread over the steps."""

    mean: float
    p50: float
    p90: float
    p99: float
    highest: float

    @classmethod
    def of(cls, values_ns: Sequence[int]) -> Microseconds:
        """Take one duration of each step, in nanoseconds; without steps all is 0."""
        values = np.array(values_ns or [0], dtype=np.float64) / 1000.0
        p50, p90, p99, highest = np.percentile(values, (50, 90, 99, 100)).tolist()
        return cls(mean=float(values.mean()), p50=p50, p90=p90, p99=p99, highest=highest)

    def to_json(self) -> dict[str, float]:
        """Give it as plain values, in microseconds."""
        figures = {"mean": self.mean, "p50": self.p50, "p90": self.p90, "p99": self.p99, "max": self.highest}
        return {name: round(value, 1) for name, value in figures.items()}


@frozen(kw_only=True)
class SideProfile:
    """One way to decode, all its rounds together."""

    name: str
    about: str
    steps: tuple[StepTimes, ...]
    switch_interval_s: float
    loop_cpu_s: float | None = None
    """Processor time of the event loop's thread; ``None`` for the bare loop, which has none."""

    @property
    def n_steps(self) -> int:
        """Steps that decoded and chose, without those that computed prompts."""
        return len(self.steps)

    @property
    def loop_us(self) -> float | None:
        """Microseconds of the event loop for each step."""
        return None if self.loop_cpu_s is None else 1e6 * self.loop_cpu_s / max(self.n_steps, 1)

    @property
    def handover(self) -> Microseconds:
        """How long the engine waited when ``llama_decode`` had returned."""
        return Microseconds.of([step.handover for step in self.steps])

    def part(self, part: StepPart) -> Microseconds:
        """Return what one part of the steps took."""
        return Microseconds.of([step.parts[part] for step in self.steps])

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        return {
            "name": self.name,
            "n_steps": self.n_steps,
            "switch_interval_ms": round(1000 * self.switch_interval_s, 3),
            "parts_us": {part: self.part(part).to_json() for part in STEP_PARTS},
            "handover_us": self.handover.to_json(),
            "event_loop_us": None if self.loop_us is None else round(self.loop_us, 1),
        }


@frozen(kw_only=True)
class DecodeProfile:
    """Where a step's time goes, and what a busy event loop does to it."""

    options: DecodeBenchOptions
    facts: BenchFacts
    sides: tuple[SideProfile, ...]
    """The bare loop first, then the runtime, then what disturbs it."""

    def to_json(self) -> dict[str, object]:
        """Give the profile as plain values."""
        return {
            **self.facts.envelope("decode", plain_options(self.options)),
            "profile": [side.to_json() for side in self.sides],
        }

    def lines(self) -> list[str]:
        """Give the profile as a person reads it."""
        names = [side.name for side in self.sides]
        lines = [
            f"{self.options.label}: {self.options.n_seq} turns, microseconds of a step, medians",
            _row("", names),
            *(
                _row(_SHOWN[part], [f"{side.part(part).p50:.0f}" for side in self.sides])
                for part in STEP_PARTS
            ),
            _row("steps", [str(side.n_steps) for side in self.sides]),
            _row("event loop, CPU", [_or_dash(side.loop_us) for side in self.sides]),
            _row("switch interval, ms", [f"{1000 * side.switch_interval_s:g}" for side in self.sides]),
            "engine waits for the interpreter after llama_decode:",
        ]
        waits = [side.handover.to_json() for side in self.sides]
        lines += [_row(f"  {name}", [f"{wait[name]:.0f}" for wait in waits]) for name in _TOLD]
        lines += [f"{side.name}: {side.about}" for side in self.sides]
        return [
            *lines,
            "Not shown: prompts, other machines; and what measuring itself took, 10 to 100 µs a step.",
        ]

    def chart(self) -> Chart:
        """Show what lies outside ``llama_decode``, and the waits."""
        outside: list[StepPart] = [part for part in STEP_PARTS if part != "decode"]
        places = tuple(float(place) for place in range(len(self.sides)))
        names = tuple(side.name for side in self.sides)
        return Chart(
            title=f"A step of {self.options.label}, {self.options.n_seq} turns",
            panels=(
                Panel(
                    title="outside llama_decode, median",
                    x_label="",
                    y_label="µs a step",
                    names=names,
                    series=tuple(
                        Series(
                            label=_SHOWN[part],
                            x=places,
                            y=tuple(side.part(part).p50 for side in self.sides),
                        )
                        for part in outside
                    ),
                ),
                Panel(
                    title="waiting for the interpreter",
                    x_label="",
                    y_label="µs a step",
                    names=names,
                    series=(
                        Series(label="p50", x=places, y=tuple(side.handover.p50 for side in self.sides)),
                        Series(label="p99", x=places, y=tuple(side.handover.p99 for side in self.sides)),
                    ),
                ),
            ),
            footnote=self.facts.footnote(),
        )


def _row(head: str, cells: Sequence[str]) -> str:
    return f"  {head:<22}" + "".join(f"{cell:>16}" for cell in cells)


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
