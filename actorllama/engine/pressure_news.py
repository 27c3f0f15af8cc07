"""What the pressure actor tells the bus."""

from __future__ import annotations

from collections.abc import Sequence

from actorllama.engine import events
from actorllama.engine.pressure_plan import Ask, Outcome
from actorllama.native.memory import MemoryDomain, MemoryReading, SourceReport, tightest
from actorllama.telemetry import Bus, Event

__all__ = ["PressureNews"]


class PressureNews:
    """Tell the bus what is short, who is asked, and what it brought.

    Owner: the pressure actor.
    """

    def __init__(self, bus: Bus) -> None:
        """Know of no source yet."""
        self._bus = bus
        self._why_not: dict[str, str] = {}

    def sources(self, reports: Sequence[SourceReport]) -> None:
        """Tell of each source whose state has changed; of one that always worked, nothing."""
        for report in reports:
            if self._why_not.get(report.source, "") != report.why_not:
                about = {"source": report.source, "why_not": report.why_not}
                self._bus.execute(events.SOURCE_CHANGED, {"n_readings": len(report.readings)}, about)
            self._why_not[report.source] = report.why_not

    def began(self, domain: MemoryDomain, readings: Sequence[MemoryReading]) -> None:
        """Tell that memory of a domain is short."""
        self._tell(events.PRESSURE_BEGAN, domain, readings)

    def ended(self, domain: MemoryDomain, readings: Sequence[MemoryReading]) -> None:
        """Tell that it is not any more."""
        self._tell(events.PRESSURE_ENDED, domain, readings)

    def asked(self, ask: Ask) -> None:
        """Tell who is asked for how much."""
        self._bus.execute(events.PRESSURE_ASKED, {"asked_bytes": ask.n_bytes}, _about(ask))

    def won(self, answer: Outcome, *, duration_s: float, error: str) -> None:
        """Tell what came of it."""
        measured = {
            "asked_bytes": answer.ask.n_bytes,
            "won_bytes": answer.won_bytes,
            "duration_s": duration_s,
        }
        self._bus.execute(events.PRESSURE_WON, measured, {**_about(answer.ask), "error": error})

    def _tell(self, event: Event, domain: MemoryDomain, readings: Sequence[MemoryReading]) -> None:
        tight = tightest(readings, domain)
        stalls = [r.stall_share for r in readings if r.domain == domain and r.stall_share is not None]
        measured = {
            "used_bytes": tight.used_bytes or 0 if tight is not None else 0,
            "limit_bytes": tight.limit_bytes or 0 if tight is not None else 0,
            "stall_ratio": max(stalls, default=0.0),
        }
        about = {"domain": domain.name, "source": tight.source if tight is not None else ""}
        self._bus.execute(event, measured, about)


def _about(ask: Ask) -> dict[str, object]:
    return {"domain": ask.domain.name, "step": ask.step.name.lower(), "owner": ask.owner}
