"""The decode bench measures what it says it measures."""

from __future__ import annotations

import statistics
from pathlib import Path

import trio
from attrs import evolve

from actorllama import demo
from actorllama.bench import DecodeBenchOptions, run_decode_bench
from actorllama.bench.decode_blocks import N_BLOCK
from actorllama.bench.handlers import all_handlers
from actorllama.telemetry import Bus
from actorllama.testing.random_models import write_random_model


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


def in_blocks(path: Path, *, n_tokens: int) -> DecodeBenchOptions:
    write_random_model(path, "llama", seed=3)
    return DecodeBenchOptions(model=path, label="random", n_seq=2, n_tokens=n_tokens, n_rounds=2, n_threads=1)


async def test_steps_of_both_sides_take_turns_within_the_same_turns(tmp_path: Path) -> None:
    report = await run_decode_bench(in_blocks(tmp_path / "m.gguf", n_tokens=4 * N_BLOCK))
    assert report.n_unsteady == 0
    for item in report.rounds:
        assert 2 <= len(item.neighbours) <= 4
        assert item.ratio == statistics.median(item.neighbours)
    assert list(report.ratios) == [ratio for item in report.rounds for ratio in item.neighbours]
    assert report.cpu_s_per_1000_tokens is not None
    assert report.cpu_s_per_1000_tokens > 0
    assert report.bare_cpu_s_per_1000_tokens is not None
    assert report.bare_cpu_s_per_1000_tokens > 0


async def test_turns_shorter_than_two_blocks_are_measured_whole(tmp_path: Path) -> None:
    report = await run_decode_bench(in_blocks(tmp_path / "m.gguf", n_tokens=2 * N_BLOCK - 1))
    assert report.n_unsteady == 2
    assert list(report.ratios) == [item.ratio for item in report.rounds]
    assert any("take more --tokens" in line for line in report.lines())


async def test_it_can_be_left_while_a_block_is_computed(tmp_path: Path) -> None:
    options = evolve(in_blocks(tmp_path / "m.gguf", n_tokens=4 * N_BLOCK), n_rounds=1000)
    with trio.move_on_after(0.5) as scope:
        await run_decode_bench(options)
    assert scope.cancelled_caught
