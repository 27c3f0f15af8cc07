"""What an actor costs, against bare trio in the same run: ``actorllama bench actors``."""

from __future__ import annotations

import gc
import os
import statistics
import sys
from collections.abc import Callable, Mapping

import trio
from attrs import asdict, evolve, frozen

from actorllama.bench.actor_pairs import PAIRS, Pair
from actorllama.errors import RequestError

__all__ = ["ActorsBenchOptions", "ActorsReport", "PairResult", "run_actors_bench"]

_N_OF: Mapping[str, str] = {
    "spawn_us": "n_spawned",
    "restart_us": "n_restarts",
    "actor_bytes": "n_alive",
}


@frozen(kw_only=True)
class ActorsBenchOptions:
    """How much to measure."""

    n_messages: int = 2_000
    """Calls, casts and deliveries of each round."""
    n_spawned: int = 500
    n_restarts: int = 200
    n_alive: int = 10_000
    """Actors alive at once when their memory is measured; this is done once, not per round."""
    n_rounds: int = 7

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        for field, value in asdict(self).items():
            if value < 1:
                raise RequestError(field=field, value=value, reason="must be at least 1")


@frozen(kw_only=True)
class PairResult:
    """One pair: the figures of every round, neighbours in time at equal index."""

    pair: Pair
    ours: tuple[float, ...]
    bare: tuple[float, ...]

    @property
    def value(self) -> float:
        """Median of the kernel's figures."""
        return statistics.median(self.ours)

    @property
    def bare_value(self) -> float:
        """Median of bare trio's figures."""
        return statistics.median(self.bare)

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios: each compares neighbours in time, so drift cancels."""
        return statistics.median(ours / bare for ours, bare in zip(self.ours, self.bare, strict=True))


@frozen(kw_only=True)
class ActorsReport:
    """All pairs, and how to read them: quote the ratios, not single times."""

    options: ActorsBenchOptions
    results: tuple[PairResult, ...]
    python: str
    trio: str
    n_cores: int
    load_average: float
    """Of the last minute before the run: above 0.5, others were at work and the times are doubtful."""

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values: ``call_us``, ``channel_call_us``, ``call_to_channel``..."""
        figures: dict[str, object] = {}
        for result in self.results:
            figures[result.pair.name] = round(result.value, 2)
            figures[result.pair.bare_name] = round(result.bare_value, 2)
            figures[result.pair.ratio_name] = round(result.ratio, 3)
        return {
            "bench": "actors",
            **figures,
            **asdict(self.options),
            "machine": {
                "python": self.python,
                "trio": self.trio,
                "n_cores": self.n_cores,
                "load_average": self.load_average,
            },
        }

    def lines(self) -> list[str]:
        """Give the report as a person reads it."""
        rows = [
            f"  {result.value:10.1f} {result.bare_value:10.1f} {result.ratio:7.2f}  {_unit(result.pair)}"
            f"  {result.pair.what}"
            for result in self.results
        ]
        return [
            f"  {'actors':>10} {'bare trio':>10} {'ratio':>7}",
            *rows,
            f"{self.options.n_alive} actors alive; python {self.python}, trio {self.trio},"
            f" {self.n_cores} cores, load {self.load_average}",
            "Not shown: work in handlers, full mailboxes, many busy actors at once, other machines.",
        ]


async def run_actors_bench(
    options: ActorsBenchOptions | None = None, on_progress: Callable[[str], None] = lambda _line: None
) -> ActorsReport:
    """Measure the kernel and bare trio in turns, in one run, after a warm-up round.

    Cost: about 5 s with the default options, most of it for 10,000 actors under a memory tracer.
    """
    asked = options or ActorsBenchOptions()
    load_average = round(os.getloadavg()[0], 2)
    results: list[PairResult] = []
    for pair in PAIRS:
        on_progress(pair.name)
        n_items: int = getattr(asked, _N_OF.get(pair.name, "n_messages"))
        is_memory = pair.name == "actor_bytes"
        results.append(
            await _measure(pair, n_items, 1 if is_memory else asked.n_rounds, warm_up=not is_memory)
        )
    return ActorsReport(
        options=asked,
        results=tuple(results),
        python=sys.version.split()[0],
        trio=trio.__version__,
        n_cores=len(os.sched_getaffinity(0)),
        load_average=load_average,
    )


async def _measure(pair: Pair, n_items: int, n_rounds: int, *, warm_up: bool) -> PairResult:
    result = PairResult(pair=pair, ours=(), bare=())
    gc.collect()
    for index in range(n_rounds + warm_up):
        # Alternate who goes first: whatever the one leaves behind (garbage, caches) meets both.
        if index % 2:
            ours, bare = await pair.ours(n_items), await pair.bare(n_items)
        else:
            bare, ours = await pair.bare(n_items), await pair.ours(n_items)
        if warm_up and index == 0:
            continue
        result = evolve(result, ours=(*result.ours, ours), bare=(*result.bare, bare))
    return result


def _unit(pair: Pair) -> str:
    return "bytes" if pair.name.endswith("_bytes") else "us   "
