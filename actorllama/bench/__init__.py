"""Reproducible measurements: each is a ratio against the bare thing, taken in one run.

**What lives here.** What all benches share: ``harness.py`` (sides in alternating order, medians with spread,
seconds of the processor), ``facts.py`` (machine, build, model, commit: what every answer begins with),
``scenarios.py`` (named ways to run them; ``config/bench/*.toml`` say the same), ``chart.py`` and ``plot.py``
(pictures), ``shapes.py`` (the random models that speed is measured on). Then the benches: ``decode.py``:
decoding against a bare ``llama_decode`` loop. ``decode_profile.py``: where the time of a step goes.
``exactness.py``: what ``exact`` costs against ``faithful``. ``warm.py``: time to the first token by where a
prefix is. ``conversation.py``: what conversations that begin alike write and compute. ``codec.py``: what a
codec saves, costs and spoils on a model's own states. ``eviction.py``: policies on a trace
(``block_trace.py``, ``synthetic_traces.py``), beside bounds (``clairvoyant.py``); it counts and takes no
time. ``actors.py``: the kernel against bare trio. ``peers``: other programs that run llama.cpp, under the
same loads. ``scaling``: cost against size, with exponents.

**Who owns it and what always holds.** A bench opens what it measures and closes it. The two sides of
a ratio run in one process, in alternating order, after a warm-up; medians are quoted, spread is shown.

**What it may import.** ``runtime`` and everything below, and ``testing.random_models``.

**Why this way, and what we refused.** Absolute speeds say more about the machine than about us, and
timed tests fail on busy machines: neither is a check. Random weights have the speed of trained ones
and no quality, so they are used for speed only.

**Read next.** ``harness.py``, ``facts.py``, then ``decode.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorllama.lazy import on_first_use

if TYPE_CHECKING:  # the names that __getattr__ loads, for type checkers
    from actorllama.bench.decode import run_decode_bench
    from actorllama.bench.decode_report import DecodeBenchOptions, DecodeReport, DecodeRound
    from actorllama.bench.exactness import CostAtLength, CostOptions, CostReport, Speeds, run_exactness_cost
    from actorllama.bench.machine import MachineFacts, machine_facts
    from actorllama.bench.shapes import SHAPES, shape_path

__all__ = [
    "SHAPES",
    "CostAtLength",
    "CostOptions",
    "CostReport",
    "DecodeBenchOptions",
    "DecodeReport",
    "DecodeRound",
    "MachineFacts",
    "Speeds",
    "machine_facts",
    "run_decode_bench",
    "run_exactness_cost",
    "shape_path",
]

# Loaded on first use: a process whose memory is measured loads no bench.
__getattr__ = on_first_use(
    __name__,
    {
        "SHAPES": ".shapes",
        "CostAtLength": ".exactness",
        "CostOptions": ".exactness",
        "CostReport": ".exactness",
        "DecodeBenchOptions": ".decode_report",
        "DecodeReport": ".decode_report",
        "DecodeRound": ".decode_report",
        "MachineFacts": ".machine",
        "Speeds": ".exactness",
        "machine_facts": ".machine",
        "run_decode_bench": ".decode",
        "run_exactness_cost": ".exactness",
        "shape_path": ".shapes",
    },
)
