"""The actor bench measures every pair and tells what its readers look for."""

from __future__ import annotations

import pytest

from actorllama.bench.actors import ActorsBenchOptions, run_actors_bench
from actorllama.errors import RequestError

SMALL = ActorsBenchOptions(n_messages=5, n_spawned=2, n_restarts=2, n_alive=5, n_rounds=1)


@pytest.mark.slow
async def test_the_report_has_each_figure_its_bare_twin_and_their_ratio_and_reads_well() -> None:
    report = await run_actors_bench(SMALL)
    figures = report.to_json()
    for ours, bare, ratio in (
        ("call_us", "channel_call_us", "call_to_channel"),
        ("cast_us", "channel_us", "cast_to_channel"),
        ("fan_out_us", "channel_fan_out_us", "fan_out_to_channels"),
        ("spawn_us", "task_spawn_us", "spawn_to_task"),
        ("restart_us", "task_restart_us", "restart_to_task"),
        ("actor_bytes", "task_bytes", "actor_to_task_bytes"),
    ):
        for name in (ours, bare, ratio):
            figure = figures[name]
            assert isinstance(figure, float)
            assert figure > 0
    lines = report.lines()
    assert "ratio" in lines[0]
    assert lines[-1].startswith("Not shown:")
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("field", ["n_messages", "n_spawned", "n_restarts", "n_alive", "n_rounds"])
def test_nothing_to_measure_is_refused(field: str) -> None:
    with pytest.raises(RequestError, match=field):
        ActorsBenchOptions(**{field: 0})
