"""The facts beside the figures are the same for every bench, and true."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import trio

from actorllama import demo
from actorllama.bench.decode_report import DecodeBenchOptions
from actorllama.bench.exactness import CostOptions
from actorllama.bench.facts import BenchStart, MeasuredModel, plain_options
from actorllama.native import BuildInfo, ContextOptions
from actorllama.native.gguf_fingerprint import fingerprint

BUILD = BuildInfo(
    library="llama.cpp",
    version="1.2",
    has_openmp=False,
    devices=("CPU",),
    system_info="AVX2 = 1",
    max_seq=256,
)


def test_the_facts_name_machine_build_model_commit_and_when() -> None:
    model = MeasuredModel.of(demo.model_path(), "demo")
    facts = BenchStart.now().facts(build=BUILD, model=model)
    answer = facts.envelope("decode", {"n": 1}, cpu_s_per_1000_tokens=0.5)
    assert json.loads(json.dumps(answer, allow_nan=False))["build"]["version"] == "1.2"
    assert answer["model"] == {"label": "demo", "fingerprint": fingerprint(demo.model_path())}
    assert answer["commit"] == facts.commit
    assert answer["cpu_s_per_1000_tokens"] == 0.5
    assert (facts.machine.library, facts.machine.has_openmp, facts.machine.trio) == (
        "1.2",
        False,
        trio.__version__,
    )
    assert datetime.fromisoformat(str(answer["began_at"])).utcoffset() == timedelta(0)
    assert facts.cpu_s >= 0
    assert facts.wall_s >= 0
    assert facts.footnote().startswith(facts.machine.cpu)


def test_what_makes_no_sense_for_a_bench_is_there_and_says_none() -> None:
    answer = BenchStart.now().facts().envelope("eviction", {})
    assert {name for name, value in answer.items() if value is None} >= {
        "build",
        "model",
        "cpu_s_per_1000_tokens",
    }


def test_options_are_told_without_paths() -> None:
    options = CostOptions(
        model=Path("/home/somebody/model.gguf"), label="model.gguf", context=ContextOptions(n_seq=3)
    )
    plain = plain_options(options)
    assert "/home" not in json.dumps(plain, allow_nan=False)
    assert plain["lengths"] == [512, 2048]
    context = plain["context"]
    assert isinstance(context, dict)
    assert context["n_seq"] == 3
    assert plain_options(DecodeBenchOptions(model=Path("m"), label="m"))["n_seq"] == 8
