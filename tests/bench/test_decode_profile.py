"""A profile says where the time of a step goes."""

from __future__ import annotations

import sys

import pytest

from actorllama import demo
from actorllama.bench import DecodeBenchOptions
from actorllama.bench.decode_profile import run_decode_profile
from actorllama.bench.decode_profile_report import DecodeProfile, Microseconds, SideProfile
from actorllama.bench.facts import BenchStart
from actorllama.bench.step_recorder import StepTimes
from actorllama.engine import STEP_PARTS, StepPart

OPTIONS = DecodeBenchOptions(
    model=demo.model_path(), label="demo", n_seq=2, n_tokens=6, n_rounds=1, n_threads=1
)


def steps(*decode_us: int) -> tuple[StepTimes, ...]:
    return tuple(StepTimes(_parts(us), 100 * us) for us in decode_us)


def _parts(decode_us: int) -> dict[StepPart, int]:
    parts: dict[StepPart, int] = dict.fromkeys(STEP_PARTS, 1000)
    parts["decode"] = 1000 * decode_us
    return parts


def made() -> DecodeProfile:
    bare = SideProfile(name="bare", about="alone", steps=steps(10, 20, 30), switch_interval_s=0.005)
    ours = SideProfile(
        name="runtime", about="turns", steps=steps(15, 25), switch_interval_s=0.0005, loop_cpu_s=1e-4
    )
    return DecodeProfile(options=OPTIONS, facts=BenchStart.now().facts(), sides=(bare, ours))


async def test_every_part_of_every_side_is_measured() -> None:
    before_s = sys.getswitchinterval()
    told: list[str] = []
    profile = await run_decode_profile(OPTIONS, told.append)
    assert [side.name for side in profile.sides] == ["bare", "runtime", "busy loop", "busy loop, 5 ms"]
    bare, runtime, busy, busy_at_5_ms = profile.sides
    assert bare.n_steps == OPTIONS.n_rounds * OPTIONS.n_tokens
    assert 0 < runtime.n_steps <= OPTIONS.n_rounds * OPTIONS.n_tokens * OPTIONS.n_seq
    assert all(runtime.part(part).p50 > 0 for part in STEP_PARTS)
    assert (bare.part("choose").highest, bare.loop_us) == (0, None)
    assert runtime.loop_us is not None
    assert runtime.loop_us > 0
    assert busy.switch_interval_s == pytest.approx(0.0005, abs=1e-6)
    assert busy_at_5_ms.switch_interval_s == pytest.approx(0.005, abs=1e-6)
    assert sys.getswitchinterval() == before_s
    assert told == ["loading demo"]


def test_a_person_reads_every_part_and_the_waits() -> None:
    lines = made().lines()
    for head in ("llama_decode", "choosing", "reports", "event loop, CPU", "switch interval, ms"):
        assert any(line.strip().startswith(head) for line in lines)
    assert next(line.split() for line in lines if "llama_decode " in line)[1:] == ["20", "20"]
    assert [line.split() for line in lines if "max" in line] == [["max", "3", "2"]]
    assert next(line.split() for line in lines if "event loop, CPU" in line)[3:] == ["-", "50"]


def test_a_program_reads_all_figures() -> None:
    answer = made().to_json()
    assert answer["bench"] == "decode"
    profile = answer["profile"]
    assert isinstance(profile, list)
    assert profile[1]["parts_us"]["decode"] == {"mean": 20, "p50": 20, "p90": 24, "p99": 24.9, "max": 25}
    assert profile[1]["handover_us"]["max"] == 2.5
    assert profile[1]["event_loop_us"] == 50
    assert profile[0]["event_loop_us"] is None


def test_the_picture_has_every_side() -> None:
    chart = made().chart()
    assert [panel.names for panel in chart.panels] == [("bare", "runtime")] * 2
    assert [series.y for series in chart.panels[1].series] == [(2.0, 2.0), (2.98, 2.49)]


def test_without_steps_nothing_took_any_time() -> None:
    assert Microseconds.of([]).to_json() == {"mean": 0, "p50": 0, "p90": 0, "p99": 0, "max": 0}
