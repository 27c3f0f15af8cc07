"""What telemetry costs is said with how sure that is."""

from __future__ import annotations

import pytest

from actorllama.bench.telemetry_report import TelemetryReport


def report(ratios: list[float], *, late_cpu_s_per_turn: float | None = 1e-4) -> TelemetryReport:
    return TelemetryReport(
        handlers=("structlog",),
        n_turns=64 * len(ratios),
        told_tokens_per_s=tuple(100.0 * ratio for ratio in ratios),
        bare_tokens_per_s=(100.0,) * len(ratios),
        cpu_s_per_turn=2e-4,
        late_cpu_s_per_turn=late_cpu_s_per_turn,
    )


def test_the_median_of_many_pairs_lies_between_close_bounds() -> None:
    found = report([number / 100 for number in range(100, 0, -1)])
    assert found.ratio.median == pytest.approx(0.505)
    assert found.interval == pytest.approx((0.41, 0.60))  # the 41st and the 60th of 100


@pytest.mark.parametrize("ratios", [[0.9], [0.9, 1.1], [0.9, 1.0, 1.1]])
def test_few_pairs_say_no_more_than_their_extremes(ratios: list[float]) -> None:
    assert report(ratios).interval == pytest.approx((ratios[0], ratios[-1]))


@pytest.mark.parametrize(("late_s", "told"), [(1e-4, 100.0), (None, None)])
def test_the_thread_of_the_handlers_is_told_where_the_system_tells_it(
    late_s: float | None, told: float | None
) -> None:
    found = report([0.9, 1.1], late_cpu_s_per_turn=late_s)
    assert found.to_json()["telemetry_late_cpu_us_per_turn"] == told
    assert any("100 us" in line for line in found.lines()) == (told is not None)
