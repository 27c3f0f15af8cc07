"""A token's cost against the sequences that decode side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen

from actorllama.bench.decode import run_decode_bench
from actorllama.bench.decode_report import DecodeBenchOptions
from actorllama.bench.harness import Spread
from actorllama.bench.scaling.curve import Curve, Side, Theory
from actorllama.bench.scaling.options import ScalingBenchOptions

__all__ = ["SequencesFound", "sequence_curves"]

_N_TOKENS: Final = 24
_QUICK_N_TOKENS: Final = 4
_THEORY: Final = Theory(
    exponent=0.0,
    words="O(1) at most: a step reads the weights once for all rows, so a token's cost falls until the "
    "processor is saturated, then stays",
)


@frozen(kw_only=True)
class SequencesFound:
    """Both curves, and what most sequences cost the processor."""

    curves: tuple[Curve, ...]
    cpu_s_per_1000_tokens: float | None


async def sequence_curves(options: ScalingBenchOptions, on_progress: Callable[[str], None]) -> SequencesFound:
    """Run the decode bench for each number of sequences: seconds of a step over its rows.

    Cost: half a minute at the 15m shape on two cores.
    """
    runtime: list[tuple[int, Spread]] = []
    bare: list[tuple[int, Spread]] = []
    cpu_s: float | None = None
    for n_seq in options.sizes("sequences"):
        report = await run_decode_bench(
            DecodeBenchOptions(
                model=options.model,
                label=options.label,
                n_seq=n_seq,
                n_tokens=_QUICK_N_TOKENS if options.is_quick else _N_TOKENS,
                n_rounds=options.n_rounds,
                n_threads=options.n_threads,
            )
        )
        runtime.append((n_seq, Spread.of([1 / item.runtime_tokens_per_s for item in report.rounds])))
        bare.append((n_seq, Spread.of([1 / item.bare_tokens_per_s for item in report.rounds])))
        cpu_s = report.cpu_s_per_1000_tokens
        on_progress(f"{n_seq} sequences: {runtime[-1][1].median * 1000:.3f} ms a token")
    return SequencesFound(
        curves=(_curve("runtime", runtime), _curve("bare", bare)), cpu_s_per_1000_tokens=cpu_s
    )


def _curve(side: Side, points: Sequence[tuple[int, Spread]]) -> Curve:
    return Curve(
        axis="sequences", name="decode_s_per_token", side=side, unit="s", theory=_THEORY, points=tuple(points)
    )
