"""How costs grow: measured curves, and beside each what theory says of its exponent.

**What theory says.**

* A token of a decode step: O(1) in the sequences that decode side by side, at most. A step reads the
  weights once for all of its rows, so a token's cost falls until the processor is saturated and stays there;
  choosing a token, its text and its report cost the same for each.
* A token behind a long context: a fixed part, and one that is linear in the context, for attention reads
  every row before it. So the exponent is between 0 and 1 and rises with the context.
* Saving and restoring a state: linear in its tokens, for all rows are copied.
* Looking a prompt up: O(blocks of the prompt), independent of what else is in the cache: one look into a hash
  table for each block. Keeping a turn is the same; making room for it is O(log n), the policy's heap.
* Starting with a disk full of entries: linear in the files, for each is listed and none is opened.
* An actor: a call, a start and its memory are independent of how many others there are, for who waits is in
  no queue.

**What is measured.** For each size some rounds after a warm-up, the median of which is a point; the exponent
is the slope of a straight line through the logarithms, by least squares, with its standard error. Where there
is a bare thing, it is measured in the same rounds and has a curve of its own.

**Read next.** ``curve.py``, then ``sequences.py``.
"""

from __future__ import annotations

from actorllama.bench.scaling.curve import Curve, Theory
from actorllama.bench.scaling.fit import PowerFit, fit_power
from actorllama.bench.scaling.options import AXES, ScalingAxis, ScalingBenchOptions
from actorllama.bench.scaling.report import ScalingReport
from actorllama.bench.scaling.run import run_scaling_bench

__all__ = [
    "AXES",
    "Curve",
    "PowerFit",
    "ScalingAxis",
    "ScalingBenchOptions",
    "ScalingReport",
    "Theory",
    "fit_power",
    "run_scaling_bench",
]
