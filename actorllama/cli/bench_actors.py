"""``actorllama bench actors``: the kernel against bare trio."""

from __future__ import annotations

from pathlib import Path

from actorllama.cli.bench_command import bench_command, count_option
from actorllama.cli.bench_run import draw_report, measure, tell_lines
from actorllama.cli.screen import note

__all__ = ["command"]


@bench_command(
    "actors",
    asks="what an actor costs beside bare trio",
    takes="10 s",
    params=[
        count_option("--messages", "n_messages", 2000, "Calls, casts and deliveries of each round."),
        count_option("--spawned", "n_spawned", 500, "Actors started in each round."),
        count_option("--restarts", "n_restarts", 200, "Crashes in each round."),
        count_option("--alive", "n_alive", 10_000, "Actors alive when their memory is measured."),
        count_option("--rounds", "n_rounds", 7, "Measurements of each side."),
    ],
    lines=(
        "actorllama bench actors",
        "actorllama bench actors --json",
        "actorllama bench actors --alive 100 --messages 100 --rounds 3",
    ),
)
def command(
    *,
    n_messages: int,
    n_spawned: int,
    n_restarts: int,
    n_alive: int,
    n_rounds: int,
    as_json: bool,
    plot: Path | None,
) -> int:
    """Measure the actor kernel against bare trio: calls, casts, starts, memory."""
    from actorllama.bench.actors import ActorsBenchOptions, run_actors_bench

    options = ActorsBenchOptions(
        n_messages=n_messages,
        n_spawned=n_spawned,
        n_restarts=n_restarts,
        n_alive=n_alive,
        n_rounds=n_rounds,
    )
    report, code = measure(lambda: run_actors_bench(options, note))
    if report is not None:
        tell_lines(report, as_json=as_json)
        draw_report(report, plot)
    return code
