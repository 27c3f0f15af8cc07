"""The decode bench measures what it says it measures."""

from __future__ import annotations

from actorllama import demo
from actorllama.bench import DecodeBenchOptions, run_decode_bench
from actorllama.bench.handlers import all_handlers
from actorllama.telemetry import Bus


def options(*, has_telemetry: bool) -> DecodeBenchOptions:
    return DecodeBenchOptions(
        model=demo.model_path(),
        label="demo",
        n_seq=2,
        n_tokens=4,
        n_rounds=2,
        n_threads=1,
        has_telemetry=has_telemetry,
        n_turns=9,
    )


async def test_handlers_are_measured_on_as_many_turns_as_were_asked_for() -> None:
    report = await run_decode_bench(options(has_telemetry=True))
    cost = report.telemetry
    assert cost is not None
    assert cost.handlers == ("structlog", "json lines", "prometheus", "opentelemetry")
    assert cost.n_turns == 20  # whole portions of 10, two at least
    assert len(cost.told_tokens_per_s) == len(cost.bare_tokens_per_s) == 2
    told = report.to_json()
    assert told["telemetry_n_turns"] == 20
    assert told["telemetry_ratio"] == round(cost.ratio.median, 4)
    assert cost.late_cpu_s_per_turn is None or 0 <= cost.late_cpu_s_per_turn < 1
    assert any("all handlers attached" in line for line in report.lines())


async def test_without_being_asked_no_handler_is_attached() -> None:
    report = await run_decode_bench(options(has_telemetry=False))
    assert report.telemetry is None
    assert "telemetry_ratio" not in report.to_json()


def test_what_was_attached_is_gone_afterwards() -> None:
    bus = Bus()
    with all_handlers(bus) as names:
        assert len(bus.handler_ids()) == len(names)
    assert bus.handler_ids() == ()
