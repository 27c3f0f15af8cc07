"""Running a measurement that Ctrl-C ends, and telling what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from actorllama.cli.bench_scenario import scenario_in_use
from actorllama.cli.interrupts import Interrupts, run_interruptible
from actorllama.cli.screen import note, say, say_json, say_table

if TYPE_CHECKING:
    from actorllama.bench.chart import Chart

__all__ = ["DrawnReport", "LinesReport", "TableReport", "draw_report", "measure", "tell_lines", "tell_table"]

R = TypeVar("R")


class LinesReport(Protocol):
    """A report that a person reads line by line."""

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        ...

    def lines(self) -> list[str]:
        """Give it as a person reads it."""
        ...


class TableReport(Protocol):
    """A report that a person reads as a table."""

    def to_json(self) -> dict[str, object]:
        """Give it as plain values."""
        ...

    def headline(self) -> str:
        """Say what was measured."""
        ...

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Give heads and rows."""
        ...

    def notes(self) -> list[str]:
        """Say how to read it."""
        ...


class DrawnReport(Protocol):
    """A report that can be looked at."""

    def chart(self) -> Chart:
        """Give it as a picture."""
        ...


def measure(work: Callable[[], Awaitable[R]]) -> tuple[R | None, int]:
    """Run a measurement; return its report, ``None`` if Ctrl-C ended it, and the exit code."""

    async def watched(interrupts: Interrupts) -> tuple[R | None, int]:
        report: R | None = None
        with interrupts.stopping():
            report = await work()
        return report, interrupts.exit_code

    return run_interruptible(watched)


def tell_lines(report: LinesReport, *, as_json: bool) -> None:
    """Print a report as lines, or as one JSON object."""
    if as_json:
        say_json({**report.to_json(), "scenario": scenario_in_use()})
        return
    for line in report.lines():
        say(line)


def tell_table(report: TableReport, *, as_json: bool) -> None:
    """Print a report as a table, or as one JSON object."""
    if as_json:
        say_json({**report.to_json(), "scenario": scenario_in_use()})
        return
    say(report.headline())
    say_table(*report.table())
    for line in report.notes():
        say(line)


def draw_report(report: DrawnReport, plot: Path | None) -> None:
    """Draw a report, if a picture is asked for."""
    if plot is None:
        return
    from actorllama.bench.plot import draw

    draw(report.chart(), plot)
    note(f"drawn: {plot}")
