"""The decode bench measures what it says it measures."""

from __future__ import annotations

from actorllama import demo
from actorllama.bench import DecodeBenchOptions, run_decode_bench
from actorllama.bench.handlers import all_handlers
from actorllama.telemetry import Bus


def options(**fields: bool) -> DecodeBenchOptions:
    return DecodeBenchOptions(
        model=demo.model_path(), label="demo", n_seq=2, n_tokens=4, n_rounds=2, n_threads=1, **fields
    )


async def test_each_round_is_measured_with_and_without_handlers() -> None:
    report = await run_decode_bench(options(has_telemetry=True))
    assert report.handlers == ("structlog", "json lines", "prometheus", "opentelemetry")
    assert all(item.telemetry_tokens_per_s for item in report.rounds)
    assert report.telemetry_ratio is not None
    assert report.to_json()["telemetry_ratio"] == round(report.telemetry_ratio, 4)
    assert any("all handlers attached" in line for line in report.lines())


async def test_without_being_asked_no_handler_is_attached() -> None:
    report = await run_decode_bench(options())
    assert (report.handlers, report.telemetry_ratio) == ((), None)
    assert "telemetry_ratio" not in report.to_json()


def test_what_was_attached_is_gone_afterwards() -> None:
    bus = Bus()
    with all_handlers(bus) as names:
        assert len(bus.handler_ids()) == len(names)
    assert bus.handler_ids() == ()
